"""Single requests, by the library requests: does a server answer, post a message, download a file.

What is asked for in the thousands goes through pipeline/http.py, which repeats requests and keeps the servers' limits.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import requests

from pipeline.headers import validator

CONNECT_S, READ_S = 10, 60  # of a download; the same as in HttpSettings
BLOCK = 1 << 20  # bytes that are held at a time of a download
LONGEST_PAGE = 16 << 20  # bytes of a page that lists files: 15,000 links take 2 MB
PARTIAL, RANGE_NOT_THERE = 206, 416


class NoAnswer(RuntimeError):
    """A request without a usable answer. The message may contain the address; `kind` (ConnectionError …) does not."""

    def __init__(self, error: requests.RequestException) -> None:
        super().__init__(str(error))
        self.kind = type(error).__name__


def status_of(address: str, timeout_s: float) -> int:
    """The HTTP status of a GET, whatever it is, without following redirects. Raises NoAnswer."""
    try:
        with requests.get(address, timeout=timeout_s, allow_redirects=False, stream=True) as response:
            return response.status_code
    except requests.RequestException as error:
        raise NoAnswer(error) from None


def post_json(address: str, content: Mapping[str, Any], timeout_s: float) -> int:
    """The HTTP status of a POST of JSON, without following redirects. Raises NoAnswer."""
    try:
        with requests.post(address, json=dict(content), timeout=timeout_s, allow_redirects=False) as response:
            return response.status_code
    except requests.RequestException as error:
        raise NoAnswer(error) from None


def text_of(address: str, timeout_s: float) -> str:
    """The text at an address. Raises NoAnswer, for HTTP errors and for more than LONGEST_PAGE bytes too."""
    content = bytearray()
    try:
        with requests.get(address, timeout=timeout_s, stream=True) as response:
            response.raise_for_status()
            for block in response.iter_content(BLOCK):  # a server that sends chunks gives them one by one
                content += block
                if len(content) > LONGEST_PAGE:
                    raise requests.RequestException(f"a page of more than {LONGEST_PAGE} bytes")
            return content.decode("utf-8", "replace")
    except requests.RequestException as error:
        raise NoAnswer(error) from None


def download(address: str, out: BinaryIO) -> None:
    """Write what is at the address into an open file; raises NoAnswer (for HTTP errors too) and OSError."""
    try:
        with requests.get(address, stream=True, timeout=(CONNECT_S, READ_S)) as response:
            response.raise_for_status()
            for block in response.iter_content(BLOCK):
                out.write(block)
    except requests.RequestException as error:
        raise NoAnswer(error) from None


def download_on(address: str, file: Path) -> None:
    """Download into a file, from where an earlier call was cut off; raises NoAnswer and OSError.

    It goes on only while the server has the same file: the note beside the file holds the ETag or the date of change
    that the first answer had, and the rest is asked for with If-Range (RFC 9110, section 13.1.5). Without one, and
    where the server sends everything or says that there are no more bytes, the file is begun anew.
    """
    note = note_beside(file)
    kept = note.read_text(encoding="ascii") if note.exists() else ""
    begin = file.stat().st_size if kept and file.exists() else 0
    asked = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-", "If-Range": kept} if begin else {})
    try:
        with requests.get(address, stream=True, timeout=(CONNECT_S, READ_S), headers=asked) as response:
            if response.status_code == RANGE_NOT_THERE:
                note.unlink(missing_ok=True)
            response.raise_for_status()
            goes_on = begin > 0 and response.status_code == PARTIAL
            if not goes_on:
                note.unlink(missing_ok=True)  # first: bytes of another file must not be beside this one's validator
            with file.open("ab" if goes_on else "wb") as out:
                if not goes_on and (same := _validator(response.headers)):
                    note.write_text(same, encoding="ascii")
                for block in response.iter_content(BLOCK):
                    out.write(block)
    except requests.RequestException as error:
        raise NoAnswer(error) from None
    note.unlink(missing_ok=True)


def note_beside(file: Path) -> Path:
    """Where it is kept which state of a remote file the bytes in this one are of."""
    return file.with_name(f"{file.name}.validator")


def _validator(headers: Mapping[str, str]) -> str | None:
    """What names this state of a file: a strong ETag, else the date of its last change."""
    tag = headers.get("ETag", "")
    return validator(tag if tag and not tag.startswith("W/") else headers.get("Last-Modified"))
