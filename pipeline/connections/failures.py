"""What goes wrong between a client and a server, in words that do not depend on the library."""

import ssl

import httpcore
import httpx

# What is raised where a server is not reached, or stops in the middle of its answer.
ConnectionFailure = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
    httpx.TransportError,
)


def kind_of(error: Exception) -> str:
    """What happened: the failure of a connection, or a TimeoutError, as the reason that ledgers note."""
    if isinstance(error, httpcore.ConnectTimeout):
        return "connect_timeout"
    if isinstance(error, TimeoutError | httpcore.TimeoutException):
        return "timeout"
    if isinstance(error, httpcore.ConnectError):
        tls = "ssl" in str(error).lower() or isinstance(error.__cause__, ssl.SSLError)
        return "tls_failed" if tls else "connect_failed"
    if isinstance(error, httpcore.ProtocolError):
        short = "without sending complete" in str(error) or "incomplete" in str(error).lower()
        return "truncated_body" if short else "broken_answer"
    return "connection_lost"
