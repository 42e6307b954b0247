"""A server that closes a connection just as the next request is sent on it costs no picture."""

import asyncio
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.images.download import Downloader, Trouble
from pipeline.images.guard import guarded_client
from pipeline.settings import HttpSettings, ImageSettings

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"


class Closing(socketserver.ThreadingTCPServer):
    """Answers so many requests of a connection, reads one more, and closes; `sends` is what that one gets."""

    daemon_threads = True

    def __init__(self, answers: int, sends: bytes = b"", *, reset: bool = False) -> None:
        self.answers, self.sends, self.reset = answers, sends, reset
        self.asked: list[int] = []  # the number of the connection of every request
        self.connections = 0
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.StreamRequestHandler):
    server: Closing

    def handle(self) -> None:
        self.server.connections += 1
        number = self.server.connections
        while self._read(number):
            if self.server.asked.count(number) > self.server.answers:
                self.wfile.write(self.server.sends)
                break
            self.wfile.write(HEAD + b"picture")
        if self.server.reset:  # without lingering, closing resets the connection
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()

    def _read(self, number: int) -> bool:
        while line := self.rfile.readline():
            if line == b"\r\n":
                self.server.asked.append(number)
                return True
        return False


@pytest.fixture
def closing() -> Iterator[Callable[..., Closing]]:
    """Starts servers: closing(answers, sends, reset=…)."""
    running = []

    def start(*arguments, **options) -> Closing:
        server = Closing(*arguments, **options)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join(10)
        server.server_close()


def downloads(server: Closing, folder: Path, count: int, *, at_once: bool = False) -> tuple[list[str], int]:
    """What becomes of so many downloads, one after the other or together, and one more; and the count of requests."""

    async def run() -> tuple[list[str], int]:
        http = HttpSettings(hosts={"*": f"http://127.0.0.1:{server.server_address[1]}"})
        images = ImageSettings(allowed_addresses=("127.0.0.0/8",), timeout_s=5)
        client = guarded_client(connections=4, allowed=images.allowed_addresses, hosts=http.hosts)
        downloader = Downloader(client, images, http, folder)

        async def one() -> str:
            try:
                return str((await downloader.download("http://a.example/x.jpg")).status)
            except Trouble as trouble:
                return trouble.reason

        try:
            if at_once:
                return [*await asyncio.gather(*(one() for _ in range(count))), await one()], downloader.requests
            return [await one() for _ in range(count + 1)], downloader.requests
        finally:
            await client.aclose()

    return asyncio.run(run())


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
def test_a_request_that_a_closing_server_did_not_answer_is_sent_again_on_a_new_connection(closing, tmp_path, reset):
    server = closing(1, reset=reset)
    assert downloads(server, tmp_path, 2) == (["200"] * 3, 3)
    assert server.asked == [1, 1, 2, 3]  # the new connection is not kept


def test_it_is_not_sent_on_another_kept_connection_which_may_be_closed_too(closing, tmp_path):
    server = closing(1)
    assert downloads(server, tmp_path, 4, at_once=True) == (["200"] * 5, 5)
    assert (server.connections, len(server.asked), server.asked[-1]) == (5, 6, 5)


def test_a_new_connection_that_is_closed_without_an_answer_is_not_asked_again(closing, tmp_path):
    server = closing(0)
    assert downloads(server, tmp_path, 0) == (["broken_answer"], 1)
    assert server.asked == [1]


@pytest.mark.parametrize(
    ("sends", "reason"),
    [(b"HTTP/1.1 200 O", "broken_answer"), (HEAD + b"pic", "truncated_body")],
    ids=["head", "body"],
)
def test_an_answer_that_has_begun_is_not_asked_for_again(closing, tmp_path, sends, reason):
    server = closing(1, sends)
    assert downloads(server, tmp_path, 1) == (["200", reason], 2)
    assert server.asked == [1, 1]
