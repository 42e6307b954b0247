"""Addresses as httpx reads them: it knows names beyond ASCII, and what a request cannot be made for."""

from collections.abc import Mapping

import httpcore
import httpx


class AddressError(ValueError):
    """An address that no request can be made for."""


def check_address(url: str) -> None:
    """Raises AddressError where no request can be made for the address."""
    try:
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise AddressError(str(error)) from error


def with_query(url: str, params: Mapping[str, str] | list[tuple[str, str]]) -> str:
    """The address with these parameters as its query. Raises AddressError."""
    check_address(url)
    return str(httpx.URL(url, params=params))


def core_url(url: httpx.URL) -> httpcore.URL:
    """The same address for httpcore."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
