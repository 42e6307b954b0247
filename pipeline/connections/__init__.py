"""Connections to servers, by httpx and httpcore: other modules use what is named here, and neither of the two.

A message may show the address that was asked, with what is secret in it: the callers redact.
"""

from pipeline.connections.async_client import AsyncAnswer, AsyncClient
from pipeline.connections.client import Answer, Client, Transport
from pipeline.connections.cookies import Cookies
from pipeline.connections.deadline import Deadline
from pipeline.connections.failures import ConnectionFailure, kind_of
from pipeline.connections.urls import AddressError, check_address, with_query

__all__ = [
    "AddressError",
    "Answer",
    "AsyncAnswer",
    "AsyncClient",
    "Client",
    "ConnectionFailure",
    "Cookies",
    "Deadline",
    "Transport",
    "check_address",
    "kind_of",
    "with_query",
]
