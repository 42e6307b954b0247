"""Further labels for AAT ids, from CSV files and from Europeana's aligned concepts, each with where it comes from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.tables import CONCEPTS
from pipeline.text_files import read_rows
from pipeline.vocabulary.identifiers import aat_id

LABELS_SCHEMA = {"concept_id": pl.String, "language": pl.String, "text": pl.String, "source": pl.String}


class LabelFileError(ValueError):
    """A label file that cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class _Layout:
    """Where a label file keeps its language and its label: two columns, or one column `label_<language>`."""

    text_column: str
    language: str | None

    def language_of(self, row: dict[str, str]) -> str:
        return (self.language or row["lang"]).strip().lower()


def read_label_files(files: Sequence[Path]) -> pl.DataFrame:
    """Columns concept_id, language, text, source; earlier files first.

    A file is CSV with `aat_id`, then `lang` and `label`, or `label_ca` alone; `source` is optional, the file's name
    stands in for it. Raises LabelFileError.
    """
    rows = [row for file in files for row in _rows(file)]
    return pl.DataFrame(rows, schema=LABELS_SCHEMA, orient="row").unique(keep="first", maintain_order=True)


def add_labels(concepts: pl.DataFrame, further: pl.DataFrame) -> pl.DataFrame:
    """The rows of `concepts` with the first further label of each language in which the AAT itself has none.

    Where such a label comes from stands in `label_sources`.
    """
    chosen = further.unique(["concept_id", "language"], keep="first", maintain_order=True)
    by_id: dict[str, list[tuple[str, str, str]]] = {}
    for concept_id, language, text, source in chosen.iter_rows():
        by_id.setdefault(concept_id, []).append((language, text, source))
    rows = concepts.to_dicts()
    for row in rows:
        has = {label["language"] for label in row["labels"] or []}
        for language, text, source in by_id.get(row["concept_id"], []):
            if language not in has:
                row["labels"] = [*(row["labels"] or []), {"language": language, "text": text}]
                row["label_sources"] = [*(row["label_sources"] or []), {"language": language, "text": source}]
        for column in ("labels", "label_sources"):
            row[column] = sorted(row[column] or [], key=lambda label: (label["language"], label["text"]))
    return CONCEPTS.frame(rows)


def _rows(file: Path) -> Iterable[tuple[str, str, str, str]]:
    layout = None
    for line in read_rows(file, ("aat_id",), LabelFileError):
        layout = layout or _layout(file, list(line.fields))
        yield _row(file, line.number, line.fields, layout)


def _layout(file: Path, columns: Sequence[str]) -> _Layout:
    if "aat_id" in columns and {"lang", "label"} <= set(columns):
        return _Layout("label", None)
    # `label_ca` is a label; `aat_label_en` is the AAT's own, repeated for the reader
    named = [column for column in columns if column.startswith("label_") and len(column) <= len("label_xxx")]
    if "aat_id" in columns and len(named) == 1:
        return _Layout(named[0], named[0].removeprefix("label_"))
    raise LabelFileError(
        f"{file.name}: line 1 names the columns {', '.join(columns)}; it needs aat_id, lang and label (or label_ca)."
    )


def _row(file: Path, line: int, row: dict[str, str], layout: _Layout) -> tuple[str, str, str, str]:
    concept_id = aat_id(row["aat_id"], bare=True)
    if concept_id is None:
        raise LabelFileError(f"{file.name}: line {line}: {row['aat_id']!r} is not an AAT id; 300015637 is one.")
    language, text = layout.language_of(row), row[layout.text_column].strip()
    if not text or not language:
        raise LabelFileError(f"{file.name}: line {line} has no label or no language for {concept_id}.")
    return concept_id, language, text, row.get("source") or file.name
