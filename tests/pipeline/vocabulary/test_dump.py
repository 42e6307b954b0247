"""Dumps of the AAT: plain, gzipped, Getty's archive; damaged ones."""

import gzip
import tracemalloc
import zipfile

import pytest

from pipeline.tables import CONCEPTS
from pipeline.vocabulary.dump import DumpError, DumpSource
from pipeline.vocabulary.identifiers import NotAnAatId


def test_a_subject_comes_with_everything_above_it(small):
    rows = {row["concept_id"]: row for row in small.concepts(["300015637"]).to_dicts()}
    assert {each: rows[each]["kind"] for each in rows} == {
        "300015637": "concept",
        "300191086": "concept",
        "300191098": "guide_term",
        "300264092": "facet",
    }
    portraits = rows["300015637"]
    assert portraits["preferred_parent"] == "300191098"
    assert portraits["parents"] == ["300191086", "300191098"]
    assert portraits["labels"] == [{"language": "de", "text": "Porträts"}, {"language": "en", "text": "portraits"}]
    assert portraits["alt_labels"] == [{"language": "en", "text": "likenesses"}]
    assert portraits["scope_note"] == [{"language": "en", "text": "Images of people."}]
    assert portraits["facet"] is None


def test_an_obsolete_subject_comes_with_what_replaces_it(small):
    rows = {row["concept_id"]: row for row in small.concepts(["300010958"]).to_dicts()}
    assert rows["300010958"]["kind"] == "obsolete"
    assert rows["300010958"]["replaced_by"] == "300010957"
    assert sorted(rows) == ["300010900", "300010957", "300010958", "300264091"]


def test_a_subject_without_a_more_special_type_counts_as_a_concept(small):
    rows = small.concepts(["300010900"])
    assert rows.filter(concept_id="300010900")["kind"].to_list() == ["concept"]


def test_language_tags_are_lower_case(small):
    (labels,) = small.concepts(["300010900"]).filter(concept_id="300010900")["labels"].to_list()
    assert [label["language"] for label in labels] == ["en", "nl"]


def test_an_unknown_id_has_no_row_and_a_malformed_one_is_refused(small):
    assert small.concepts(["300999999"]).is_empty()
    with pytest.raises(NotAnAatId):
        small.concepts(["300015637}"])


def test_the_rows_fit_their_table(small):
    assert CONCEPTS.conform(small.all_concepts()).num_rows == 9


def test_gzip_and_archive_give_the_same_rows(small, thesaurus_file, tmp_path):
    packed = tmp_path / "small.nt.gz"
    packed.write_bytes(gzip.compress(thesaurus_file.read_bytes()))
    lines = thesaurus_file.read_text(encoding="utf-8").splitlines(keepends=True)
    archive = tmp_path / "explicit.zip"
    with zipfile.ZipFile(archive, "w") as files:
        # labels stand in a file of their own, and before the subjects by name
        files.writestr("AATOut_1Subjects.nt", "".join(line for line in lines if "/term/" not in line.split()[0]))
        files.writestr("AATOut_2Terms.nt", "".join(line for line in lines if "/term/" in line.split()[0]))
        files.writestr("AATOut_RevisionHistory.nt", "this is not read\n")
    expected = small.all_concepts()
    assert DumpSource([packed]).all_concepts().equals(expected)
    assert DumpSource([archive]).all_concepts().equals(expected)


def test_a_broken_statement_is_told_with_its_line(tmp_path):
    file = tmp_path / "broken.nt"
    file.write_text("<http://a.example/1> <http://a.example/p> <http://a.example/2> .\n<http://a.example/1> oops .\n")
    with pytest.raises(DumpError, match=r"broken\.nt: line 2 is not an N-Triples statement"):
        DumpSource([file]).subjects  # noqa: B018


@pytest.mark.parametrize("name", ["cut.nt.gz", "cut.zip"])
def test_a_damaged_archive_is_told(tmp_path, thesaurus_file, name):
    file = tmp_path / name
    file.write_bytes(gzip.compress(thesaurus_file.read_bytes())[:-20])
    with pytest.raises(DumpError, match=rf"{name} is damaged"):
        DumpSource([file]).subjects  # noqa: B018


@pytest.mark.parametrize(
    ("mark", "at", "byte"),
    [(b"PK\x03\x04", 0, 0), (b"PK\x01\x02", 6, 200), (b"PK\x01\x02", 46, 0xFF), (b"PK\x01\x02", 8, 1)],
    ids=["a member's header", "a version to come", "a name", "encrypted"],
)
def test_damage_in_an_archive_is_told_wherever_it_is(tmp_path, thesaurus_file, mark: bytes, at: int, byte: int):
    file = tmp_path / "explicit.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("é.nt", thesaurus_file.read_bytes())
    content = bytearray(file.read_bytes())
    content[content.find(mark) + at] = byte
    file.write_bytes(content)
    with pytest.raises(DumpError, match=r"explicit\.zip is damaged .*; fetch it again"):
        DumpSource([file]).subjects  # noqa: B018


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_what_cannot_be_unpacked_within_a_limit_is_not_read(tmp_path, packed: int):
    """A few kB of bzip2 are many MB in one piece, before anyone can count them."""
    file = tmp_path / "explicit.zip"
    with zipfile.ZipFile(file, "w", packed) as archive:
        archive.writestr("AATOut_1Subjects.nt", b"#" * 12_000_000 + b"\n")
    assert file.stat().st_size < 20_000
    tracemalloc.start()
    with pytest.raises(DumpError, match=r"explicit\.zip/AATOut_1Subjects\.nt is not compressed by deflate"):
        DumpSource([file]).subjects  # noqa: B018
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_missing_dump_is_told(tmp_path):
    with pytest.raises(DumpError, match="does not exist"):
        DumpSource([tmp_path / "none.nt"]).subjects  # noqa: B018
    with pytest.raises(DumpError, match="No dump"):
        DumpSource([])
