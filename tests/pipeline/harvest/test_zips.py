"""Whatever is wrong with a zip of the dumps is told in a sentence, and takes no memory."""

import io
import tempfile
import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.harvest import zips
from pipeline.harvest.bulk import harvest_dumps
from pipeline.harvest.dumps import FolderPlace
from pipeline.harvest.errors import HarvestError
from pipeline.settings import OPEN_RIGHTS, HarvestSettings

SETTINGS = HarvestSettings(collections=("*",), as_of=datetime(2026, 8, 1, tzinfo=UTC), rows=20)


def a_zip(packed: int = zipfile.ZIP_DEFLATED) -> bytearray:
    """Four members with other names than ASCII, none of them a record."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", packed) as archive:
        for number in range(4):
            archive.writestr(f"é{number}.xml", b"<rdf>IMAGE &#65;" + b"creativecommons.org/licenses/by/" * 9)
    return bytearray(content.getvalue())


def told_of(content: bytes) -> str:
    """What is said of a mirror with this zip, which is never a traceback."""
    with tempfile.TemporaryDirectory() as place:
        mirror = Path(place) / "XML"
        mirror.mkdir()
        (mirror / "1.zip").write_bytes(content)
        with pytest.raises(HarvestError) as error:
            harvest_dumps(FolderPlace(mirror), {"*": Path(place) / "pages"}, SETTINGS, open_rights=OPEN_RIGHTS)
    return str(error.value)


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=3))
def test_any_damage_to_a_zip_is_told(changes: list[tuple[int, int]]):
    content = a_zip()
    for at, byte in changes:
        content[at % len(content)] = byte
    assert told_of(content).endswith((": fetch it again.", "`harvest.max_missing_share`.", "in settings."))


@pytest.mark.parametrize("where", ["the directory", "a member"])
def test_damage_to_a_name_in_a_zip_is_told(where: str):
    content, name = a_zip(), "é1".encode()
    at = content.rfind(name) if where == "the directory" else content.find(name)
    content[at] = 0xFF
    assert "can't decode byte 0xff" in told_of(content) or where == "a member"


def test_a_zip_of_a_version_to_come_is_told():
    content = a_zip()
    content[content.find(b"PK\x01\x02") + 6] = 200
    assert told_of(content) == "1.zip is damaged (zip file version 20.0): fetch it again."


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_zipfile_reads_without_a_limit_are_left_out(packed: int):
    assert "é0.xml: it is compressed in another way than the files of a dump" in told_of(a_zip(packed))


def test_a_member_that_states_too_small_a_size_takes_no_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(zips, "LARGEST_RECORD", 10_000)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("0.xml", "1.xml"):
            archive.writestr(name, b" " * 10_000_000)
    bomb = content.getvalue().replace((10_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    tracemalloc.start()
    assert "0.xml: it cannot be read" in told_of(bomb)
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()
