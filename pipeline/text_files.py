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
    """A row of a CSV file: its fields by column, and the line on which it begins."""

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
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = _line_at(content.decode("latin-1"), problem.start)
        raise error(f"{file}: line {line} is not UTF-8; save the file as UTF-8.") from problem
    if "\0" in text[:4]:  # the second byte of every letter of ours
        raise error(f"{file}: line 1 has a NUL byte, as UTF-16 has; save the file as UTF-8.")
    return text


def _line_at(text: str, position: int) -> int:
    """The number of the line, whatever ends the lines: a line feed, a carriage return or both."""
    return sum(1 for _ in StringIO(text[: position + 1], newline=""))


def read_lines(file: Path, error: type[Exception] = TextFileError) -> list[str]:
    """The lines that say something, without spaces around them; lines that begin with `#` are comments."""
    # Files put together from several have marks inside; whoever copies from a web page copies spaces without width.
    lines = [line.strip().strip("\ufeff\u200b").strip() for line in StringIO(read_text(file, error), newline=None)]
    return [line for line in lines if line and not line.startswith("#")]


def read_rows(file: Path, columns: Sequence[str], error: type[Exception] = TextFileError) -> Iterator[Line]:
    """The rows of a CSV file that has at least these columns; empty lines are passed over.

    Raises `error` for a missing or repeated column, and, after the last row, for rows with more or fewer fields than
    the header: it names the first and counts the others.
    """
    rows = csv.reader(StringIO(read_text(file, error), newline=""), strict=True)
    number, first, broken = 1, "", 0
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_header(file, header, columns, error)
        number = rows.line_num + 1
        for row in rows:
            begin, number = number, rows.line_num + 1
            if not row or (len(row) == 1 < len(header) and not row[0].strip()):
                continue
            if len(row) != len(header):
                first = first or f"line {begin} has {len(row)} fields, the header has {len(header)}"
                broken += 1
                continue
            yield Line(begin, dict(zip(header, row, strict=True)))
    except csv.Error as problem:
        raise error(f"{file}: line {number} is not CSV ({problem}).") from problem
    if broken:
        others = (
            f"correct or remove this line and {broken - 1:,} others" if broken > 1 else "correct or remove this line"
        )
        raise error(f"{file}: {first}; {others}.")


def _check_header(file: Path, header: Sequence[str], columns: Sequence[str], error: type[Exception]) -> None:
    folded = [name.casefold() for name in header]
    if repeated := next((name for name in header if name and folded.count(name.casefold()) > 1), None):
        raise error(f"{file}: line 1 names the column {repeated!r} twice; keep one of them.")
    if missing := [name for name in columns if name not in header]:
        raise error(f"{file}: line 1 lacks {', '.join(missing)}; it needs {', '.join(columns)}.")
