"""Single requests, against a server on loopback: what counts as an answer, and what does not."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipeline import single_requests
from pipeline.single_requests import NoAnswer, download, download_on, post_json, status_of, text_of

CONTENT = bytes(range(256)) * 8192  # 2 MiB: more than one block
CUT = 3 << 19  # bytes of CONTENT before the connection ends: a block and a half
STATES: dict[str, list[tuple[dict[str, str], bytes]]] = {"/state": []}  # headers and content, one an answer
CHUNKS = (b"one ", b"two ", "drüber".encode())


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self._answer(302, b"", Location="/file")
        elif self.path == "/file":
            self._answer(200, CONTENT)
        elif self.path == "/cut":
            self._answer(200, CONTENT[:-1], **{"Content-Length": str(len(CONTENT))})
        elif self.path in STATES:
            self._state(self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-"))
        elif self.path == "/chunks":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.wfile.write(b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*CHUNKS, b"")))
        else:
            self._answer(404, b"nothing here")

    def _state(self, begin: str) -> None:
        """A file whose first answer is cut off; what comes then is the rest, where it is still the same one."""
        headers, content = STATES[self.path].pop(0)
        same = self.headers.get("If-Range") in headers.values()
        if not begin:
            length = {"Content-Length": str(len(content))}
            self._answer(200, content[:CUT] if STATES[self.path] else content, **headers, **length)
        elif int(begin) >= len(content):
            self._answer(416, b"")
        elif same:
            self._answer(206, content[int(begin) :], **headers)
        else:
            self._answer(200, content, **headers)

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


TAG, OTHER_TAG = {"ETag": '"monday"'}, {"ETag": '"sunday"'}
DATE, OTHER_DATE = {"Last-Modified": "Mon, 30 Nov 2026"}, {"Last-Modified": "Sun, 29 Nov 2026"}
WEAK, NEITHER = {"ETag": 'W/"monday"'}, {"Server": "old"}
LATER = CONTENT[::-1]


@pytest.mark.parametrize(
    ("before", "after", "content", "asked"),
    [
        (TAG, TAG, CONTENT, True),
        (TAG, OTHER_TAG, LATER, True),
        (DATE, DATE, CONTENT, True),
        (DATE, OTHER_DATE, LATER, True),
        (WEAK, WEAK, LATER, False),
        (NEITHER, NEITHER, LATER, False),
    ],
    ids=["same tag", "other tag", "same date", "other date", "weak tag", "neither"],
)
def test_a_download_goes_on_only_in_the_file_that_it_began(
    server: str, tmp_path: Path, before: dict[str, str], after: dict[str, str], content: bytes, asked: bool
):
    """Without If-Range, a file that changed in between would be glued to the beginning of the one before."""
    file = tmp_path / "part"
    STATES["/state"] = [(before, CONTENT), (after, content)]
    with pytest.raises(NoAnswer):
        download_on(f"{server}/state", file)
    assert file.read_bytes() == CONTENT[: single_requests.BLOCK]
    assert (tmp_path / "part.validator").exists() == asked
    download_on(f"{server}/state", file)
    assert file.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["part"]


def test_a_part_without_a_note_or_longer_than_the_file_is_begun_anew(server: str, tmp_path: Path):
    file = tmp_path / "part"
    file.write_bytes(CONTENT + b"of another week")
    STATES["/state"] = [(TAG, CONTENT)]
    download_on(f"{server}/state", file)
    assert file.read_bytes() == CONTENT
    file.write_bytes(CONTENT + b"of another week")
    (tmp_path / "part.validator").write_text(TAG["ETag"])
    STATES["/state"] = [(TAG, CONTENT), (TAG, CONTENT)]
    with pytest.raises(NoAnswer):
        download_on(f"{server}/state", file)
    download_on(f"{server}/state", file)
    assert file.read_bytes() == CONTENT


def test_a_page_in_chunks_is_read_to_its_end(server: str):
    assert text_of(f"{server}/chunks", 5) == "one two drüber"


def test_a_page_that_is_too_long_is_no_answer(server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(single_requests, "LONGEST_PAGE", 13)
    with pytest.raises(NoAnswer, match="a page of more than 13 bytes"):
        text_of(f"{server}/chunks", 5)


def test_nobody_there_is_told_by_kind_without_the_address(silent: str):
    for ask in (lambda: status_of(silent, 5), lambda: post_json(silent, {}, 5), lambda: download(silent, io.BytesIO())):
        with pytest.raises(NoAnswer) as error:
            ask()
        assert error.value.kind == "ConnectionError"


def test_what_is_no_address_is_no_answer():
    with pytest.raises(NoAnswer):
        status_of("museum.example/without-scheme", 5)
