"""The take-down list is obeyed before anything is asked for, and what it names is not kept."""

import hashlib

import pytest
from starlette.responses import Response

from pipeline.tables import IMAGES
from tests.pipeline.images.pictures import jpeg

A = "http://a.example"


def test_what_was_taken_down_is_not_asked_for_and_forgotten(fetch, provider, tmp_path):
    provider.answers.update({f"/{n}.jpg": Response(jpeg(n)) for n in range(3)})
    rows = [(f"/a/{n}", f"{A}/{n}.jpg", None) for n in range(3)]
    fetch(rows)
    down = tmp_path / "down.txt"
    down.write_text(f"# asked for by the museum\n/a/0\n{A}/1.jpg\n")
    assert fetch(rows, takedown_file=down).reasons == {"taken_down": 2}
    assert IMAGES.read(tmp_path / "images")["record_id"].to_list() == ["/a/2"]
    stored = b"".join(file.read_bytes() for file in (tmp_path / "images").iterdir())
    assert hashlib.sha256(jpeg(0)).hexdigest().encode() not in stored
    assert fetch(rows).usable == 3  # taken off the list: asked for again


@pytest.mark.parametrize("name", ["/7/a", "https://www.europeana.eu/nl/item/7/a?q=x", "data.europeana.eu/item/7/a"])
def test_a_line_of_the_takedown_list_is_obeyed_with_a_mark_or_as_an_address(fetch, provider, tmp_path, name):
    provider.answers.update({f"/{n}.jpg": Response(jpeg(ord(n))) for n in "ab"})
    down = tmp_path / "down.txt"
    down.write_bytes(b"\xef\xbb\xbf" + f"{name}\r\n/7/unknown\r\n".encode())
    summary = fetch([(f"/7/{n}", f"{A}/{n}.jpg", None) for n in "ab"], takedown_file=down)
    assert provider.asked == {"/b.jpg": 1}, "what was taken down was asked for"
    assert (summary.usable, summary.idle_takedowns) == (1, ("/7/unknown",))
