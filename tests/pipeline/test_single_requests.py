"""Single requests, against a server on loopback: what counts as an answer, and what does not."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.single_requests import NoAnswer, download, post_json, status_of

CONTENT = bytes(range(256)) * 8192  # 2 MiB: more than one block


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self._answer(302, b"", Location="/file")
        elif self.path == "/file":
            self._answer(200, CONTENT)
        elif self.path == "/cut":
            self._answer(200, CONTENT[:-1], **{"Content-Length": str(len(CONTENT))})
        else:
            self._answer(404, b"nothing here")

    def do_POST(self) -> None:
        posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(posted["status"], b"")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.fixture
def silent() -> str:
    """An address at which nobody listens."""
    with HTTPServer(("127.0.0.1", 0), _Handler) as closed:
        return f"http://127.0.0.1:{closed.server_port}"


def test_every_status_is_an_answer_and_no_redirect_is_followed(server: str):
    assert [status_of(f"{server}/{path}", 5) for path in ("file", "moved", "gone")] == [200, 302, 404]
    assert [post_json(server, {"status": status}, 5) for status in (204, 302, 500)] == [204, 302, 500]


def test_a_file_arrives_whole(server: str):
    out = io.BytesIO()
    download(f"{server}/moved", out)
    assert out.getvalue() == CONTENT


@pytest.mark.parametrize("path", ["gone", "cut"])
def test_an_error_or_half_a_file_is_no_download(server: str, path: str):
    with pytest.raises(NoAnswer):
        download(f"{server}/{path}", io.BytesIO())


def test_nobody_there_is_told_by_kind_without_the_address(silent: str):
    for ask in (lambda: status_of(silent, 5), lambda: post_json(silent, {}, 5), lambda: download(silent, io.BytesIO())):
        with pytest.raises(NoAnswer) as error:
            ask()
        assert error.value.kind == "ConnectionError"


def test_what_is_no_address_is_no_answer():
    with pytest.raises(NoAnswer):
        status_of("museum.example/without-scheme", 5)
