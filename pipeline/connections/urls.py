"""Addresses as httpx reads them: it knows names beyond ASCII, and what a request cannot be made for."""

from collections.abc import Mapping
from functools import lru_cache

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
    """The address with these parameters as its query, in place of one that it has. Raises AddressError."""
    address, fragment = _around_query(url)
    query = str(httpx.QueryParams(tuple(params) if isinstance(params, list) else params))
    return f"{address}?{query}{fragment}" if query else address + fragment


@lru_cache(maxsize=256)
def _around_query(url: str) -> tuple[str, str]:
    """What stands before a query, and the fragment behind it; a walk asks one address for all of its pages."""
    check_address(url)
    address, mark, fragment = str(httpx.URL(url, query=None)).partition("#")
    return address, mark + fragment


def core_url(url: httpx.URL) -> httpcore.URL:
    """The same address for httpcore."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
