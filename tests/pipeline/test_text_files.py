"""CSV and text files that people hand over: encodings, headers, short rows, and the lines that messages name."""

import csv
import random
from io import StringIO
from pathlib import Path

import pytest

from pipeline.text_files import TextFileError, read_lines, read_rows
from tests.pipeline.mutations import mutated_bytes

TABLE = 'name,kept in\nteapot,"Brno, Gent"\n"two\nlines",Graz\ntile,Faro\n'


def rows_of(folder: Path, content: bytes) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and fields."""
    file = folder / "given.csv"
    file.write_bytes(content)
    return [(line.number, line.fields) for line in read_rows(file, ("name",))]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_mark_and_any_line_end_change_nothing(tmp_path, end):
    rows = rows_of(tmp_path, ("\ufeff" + TABLE.replace('"two\nlines"', '"two lines"').replace("\n", end)).encode())
    assert [number for number, _ in rows] == [2, 3, 4]
    assert [fields["kept in"] for _, fields in rows] == ["Brno, Gent", "Graz", "Faro"]


def test_a_row_over_two_lines_is_named_by_its_first(tmp_path):
    assert [number for number, _ in rows_of(tmp_path, TABLE.encode())] == [2, 3, 5]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (TABLE.encode("utf-16"), "is UTF-16"),
        (TABLE.encode("utf-16-le"), "line 1 has a NUL byte"),
        (TABLE.replace("Faro", "Évora").encode("latin-1"), "line 5 is not UTF-8"),
        (b"name,Name\na,b\n", "line 1 names the column 'name' twice"),
        (b"title\na\n", "line 1 lacks name"),
        ((TABLE + "cup\n").encode(), "line 6 has 1 fields, the header has 2"),
        (b'name\na\n"open\n', "line 3 is not CSV"),
    ],
)
def test_what_is_no_such_table_is_one_sentence_with_its_line(tmp_path, content, said):
    with pytest.raises(TextFileError, match=rf"given\.csv.*{said}"):
        rows_of(tmp_path, content)


def test_lines_lose_marks_comments_and_spaces(tmp_path):
    (tmp_path / "list.txt").write_bytes("\ufeffone\r\n# no\r\n\r\n\ufeff two\u200b\r".encode())
    assert read_lines(tmp_path / "list.txt") == ["one", "two"]


def test_clean_tables_are_read_as_the_library_reads_them(tmp_path):
    assert [fields for _, fields in rows_of(tmp_path, TABLE.encode())] == list(
        csv.DictReader(StringIO(TABLE, newline=""))
    )


@pytest.mark.parametrize("n", [200, pytest.param(2_000, marks=pytest.mark.long)])
def test_mutated_tables_are_read_or_told(n, tmp_path):
    rng = random.Random(19)
    for _ in range(n):
        try:
            rows = rows_of(tmp_path, mutated_bytes(TABLE.encode(), rng))
        except TextFileError:
            continue
        assert all("name" in fields for _, fields in rows)
