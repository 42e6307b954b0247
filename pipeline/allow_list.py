"""The allow-list of hosts that data may be sent to: buckets and webhooks."""

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

ALLOWED_HOSTS = "EUFCC_ALLOWED_HOSTS"  # comma-separated: `store.museum.example, 127.0.0.1:9000`
AWS = ".amazonaws.com"  # S3's own addresses, when nothing else is named


class NotAllowed(ValueError):
    """An address that is not on the allow-list; the message says how to put it there."""


def check_allowed(address: str, environ: Mapping[str, str] = os.environ) -> str:
    """The address, if its host stands in EUFCC_ALLOWED_HOSTS; raises NotAllowed.

    A host named without a port is allowed on every port; a name covers no other name below it. Plain http is for this
    machine alone: keys and data would travel in the open.
    """
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError:
        raise NotAllowed(f"{shown(address)} is not an address.") from None
    if url.scheme not in ("http", "https") or not host or url.username or url.password:
        raise NotAllowed(f"{shown(address)} is not an address of the form https://host or https://host:port.")
    named = {entry.strip().lower() for entry in environ.get(ALLOWED_HOSTS, "").split(",") if entry.strip()}
    if not ({host, f"{host}:{port}"} & named or (url.scheme == "https" and host.endswith(AWS))):
        raise NotAllowed(
            f"{shown(address)} is not on the allow-list: if data may go there, add {host}{f':{port}' if port else ''} "
            f"to {ALLOWED_HOSTS}."
        )
    if url.scheme == "http" and host not in ("127.0.0.1", "::1", "localhost"):
        raise NotAllowed(f"{shown(address)} is plain http, which is for this machine alone: use https.")
    return address


def shown(address: str) -> str:
    """The address without a password, path or query: they may hold secrets."""
    scheme, mark, rest = address.partition("://")
    host = re.split("[/?#]", rest if mark else scheme)[0].rpartition("@")[2]
    return f"{scheme}://{host}" if mark else host
