"""Single requests, by the library requests: does a server answer, post a message, download a file.

What is asked for in the thousands goes through pipeline/http.py, which repeats requests and keeps the servers' limits.
"""

from collections.abc import Mapping
from typing import Any, BinaryIO

import requests

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


def download(address: str, out: BinaryIO, begin: int = 0) -> None:
    """Write what is at the address into an open file; raises NoAnswer (for HTTP errors too) and OSError.

    With `begin`, the file holds so many bytes already, and the rest is asked for; it is begun anew where the server
    sends everything, or says that there are no more bytes.
    """
    asked = {"Range": f"bytes={begin}-", "Accept-Encoding": "identity"} if begin else None
    try:
        with requests.get(address, stream=True, timeout=(CONNECT_S, READ_S), headers=asked) as response:
            if begin and response.status_code == RANGE_NOT_THERE:
                out.truncate(0)
            response.raise_for_status()
            if begin and response.status_code != PARTIAL:
                out.truncate(0)
            for block in response.iter_content(BLOCK):
                out.write(block)
    except requests.RequestException as error:
        raise NoAnswer(error) from None
