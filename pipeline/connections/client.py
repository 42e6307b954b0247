"""Sends requests from any number of threads, with a limit on the time of each as a whole."""

import urllib.request
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urlsplit

import httpcore
import httpx

from pipeline.allow_list import shown
from pipeline.connections.deadline import Deadline, DeadlineBackend
from pipeline.connections.urls import AddressError, core_url
from pipeline.headers import AnswerHeaders
from pipeline.settings import HttpSettings

Transport = httpx.BaseTransport
MOST_CONNECTIONS, MOST_KEPT = 64, 32
KEPT_S = 5.0


class Answer:
    """An answer whose body is still to be received. It has to be closed."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = AnswerHeaders(response.headers.raw)
        self._response = response

    def chunks(self) -> Iterator[bytes]:
        """The body as it is received, in the coding that the headers name. Raises ConnectionFailure."""
        yield from cast(httpx.SyncByteStream, self._response.stream)

    def close(self) -> None:
        """Gives the connection back, or closes it where the body was not read to its end."""
        self._response.close()


class Client:
    """A client that may be shared by threads. It keeps no cookies and follows no redirects.

    Requests end at the deadline of their thread. They go through the proxies of the environment (HTTPS_PROXY,
    HTTP_PROXY, ALL_PROXY, NO_PROXY), except to addresses of the host map. With a `transport`, that one answers.
    """

    def __init__(
        self,
        settings: HttpSettings,
        deadline: Deadline,
        headers: Mapping[str, str],
        transport: Transport | None = None,
    ) -> None:
        """Raises AddressError for a proxy that cannot be used."""
        # A proxy of the environment is for the world outside, not for an address the host map names.
        direct = frozenset(urlsplit(address).hostname for address in settings.hosts.values())
        self._client = httpx.Client(
            transport=transport or _Transport(deadline, direct),
            timeout=httpx.Timeout(
                settings.read_timeout_s, connect=settings.connect_timeout_s, pool=settings.total_timeout_s
            ),
            headers=dict(headers),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # one answer must not spoil other requests
            follow_redirects=False,
            trust_env=False,
        )

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Answer:
        """Sends one request; `body` is `{"data": …}` for a form, `{"json": …}`, or empty.

        Raises AddressError, and ConnectionFailure.
        """
        try:
            request = self._client.build_request(method, url, headers=dict(headers), **body)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise AddressError(str(error)) from error
        try:
            return Answer(self._client.send(request, stream=True))
        except (httpx.InvalidURL, UnicodeError) as error:  # of a redirect, which httpx reads without following it
            raise AddressError(f"it redirects to an address that cannot be read ({error})") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _Transport(httpx.BaseTransport):
    """Pools whose connections end at the deadline: one for the way without a proxy, and one for each proxy."""

    def __init__(self, deadline: Deadline, direct: frozenset[str | None]) -> None:
        self._direct = direct
        self._options: dict[str, Any] = {
            "ssl_context": httpx.create_ssl_context(),
            "network_backend": DeadlineBackend(deadline),
            "max_connections": MOST_CONNECTIONS,
            "max_keepalive_connections": MOST_KEPT,
            "keepalive_expiry": KEPT_S,
        }
        self._without_proxy = httpcore.ConnectionPool(**self._options)
        named = urllib.request.getproxies()
        proxies: dict[str, str] = {scheme: named[scheme] for scheme in ("http", "https", "all") if scheme in named}
        pools = {url: self._through(url) for url in set(proxies.values())}
        self._by_scheme = {scheme: pools[url] for scheme, url in proxies.items()}

    def _through(self, url: str) -> httpcore.ConnectionPool:
        try:
            proxy = httpx.Proxy(url if "://" in url else f"http://{url}")
        except (ValueError, httpx.InvalidURL) as error:
            raise AddressError(f"The proxy of the environment, {shown(url)}, cannot be used: {error}.") from None
        if proxy.url.scheme not in ("http", "https"):
            raise AddressError(f"The proxy of the environment, {shown(url)}, is none of http:// or https://.")
        return httpcore.HTTPProxy(
            proxy_url=core_url(proxy.url), proxy_auth=proxy.raw_auth, proxy_headers=proxy.headers.raw, **self._options
        )

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        proxy = self._by_scheme.get(url.scheme) or self._by_scheme.get("all")
        host, address = url.raw_host.decode("ascii"), url.netloc.decode("ascii")
        if proxy is None or host in self._direct or urllib.request.proxy_bypass(address):
            return self._without_proxy
        return proxy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sent = httpcore.Request(
            request.method,
            core_url(request.url),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        response = self._pool(request.url).handle_request(sent)
        return httpx.Response(response.status, headers=response.headers, stream=_Stream(response))

    def close(self) -> None:
        for pool in {self._without_proxy, *self._by_scheme.values()}:
            pool.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
