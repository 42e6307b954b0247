"""Text and CSV files that people hand over: read as UTF-8, and refused with file and line where they are not."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class TextFileError(ValueError):
    """A file that cannot be read; the message names the file and, where there is one, the line.

    Functions that read for somebody else raise their `error` instead.
    """


@dataclass(frozen=True)
class Line:
    """A row of a CSV file: its fields by column, and the line on which it ends."""

    number: int
    fields: dict[str, str]


def read_text(file: Path, error: type[Exception] = TextFileError) -> str:
    """The text of a UTF-8 file, without the byte-order mark that spreadsheets write. Raises `error`."""
    try:
        content = file.read_bytes()
    except OSError as problem:
        raise error(f"{file} cannot be read ({problem.strerror}).") from problem
    if encoding := next((name for mark, name in MARKS.items() if content.startswith(mark)), None):
        raise error(f"{file} is {encoding}; save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise error(f"{file}: line {line} is not UTF-8; save the file as UTF-8.") from problem


def read_lines(file: Path, error: type[Exception] = TextFileError) -> list[str]:
    """The lines that say something, without spaces around them; lines that begin with `#` are comments."""
    lines = [line.strip() for line in StringIO(read_text(file, error), newline=None)]
    return [line for line in lines if line and not line.startswith("#")]


def read_rows(file: Path, columns: Sequence[str], error: type[Exception] = TextFileError) -> Iterator[Line]:
    """The rows of a CSV file that has at least these columns; empty lines are passed over.

    Raises `error` for a missing or repeated column, and for a row with more or fewer fields than the header.
    """
    rows = csv.reader(StringIO(read_text(file, error), newline=""), strict=True)
    try:
        header = next(rows, [])
        _check_header(file, header, columns, error)
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise error(
                    f"{file}: line {rows.line_num} has {len(row)} fields, the header has {len(header)}; "
                    "correct or remove this line."
                )
            yield Line(rows.line_num, dict(zip(header, row, strict=True)))
    except csv.Error as problem:
        raise error(f"{file}: line {rows.line_num} is not CSV ({problem}).") from problem


def _check_header(file: Path, header: Sequence[str], columns: Sequence[str], error: type[Exception]) -> None:
    if repeated := next((name for name in header if header.count(name) > 1), None):
        raise error(f"{file}: line 1 names the column {repeated!r} twice; keep one of them.")
    if missing := [name for name in columns if name not in header]:
        raise error(f"{file}: line 1 lacks {', '.join(missing)}; it needs {', '.join(columns)}.")
