"""A provider that answers byte for byte as it is told: headers that no HTTP library would write."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Answer = bytes | Callable[[dict[str, str], int], bytes]


class RawProvider:
    """`answers[target]` is a whole response, or a function of the request's headers and how often it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.address = ""

    def answer(self, request: bytes) -> bytes:
        """The response to one request."""
        first, *lines = request.decode("latin-1").split("\r\n")
        target = first.split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        before = self.asked.count(target)
        self.asked.append(target)
        self.headers.append(headers)
        given = self.answers.get(target, response(status="404 Not Found"))
        return given if isinstance(given, bytes) else given(headers, before)


def response(body: bytes = b"", *headers: tuple[str | bytes, str | bytes], status: str = "200 OK") -> bytes:
    """A response of one body; Content-Length is added unless a header names a length."""
    lines = [b"HTTP/1.1 " + status.encode(), *(raw(name) + b": " + raw(value) for name, value in headers)]
    if not any(raw(name).lower() in (b"content-length", b"transfer-encoding") for name, _ in headers):
        lines.append(b"Content-Length: " + str(len(body)).encode())
    return b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body


def raw(text: str | bytes) -> bytes:
    """Bytes as they are, text in UTF-8."""
    return text if isinstance(text, bytes) else text.encode()


@contextmanager
def serving(provider: RawProvider) -> Iterator[RawProvider]:
    """The provider on a free port of the loopback while the context lasts."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            request = b""
            while not request.endswith(b"\r\n\r\n"):
                line = self.rfile.readline(70_000)
                if not line:
                    return
                request += line
            self.wfile.write(provider.answer(request[:-4]))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        provider.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join(10)
