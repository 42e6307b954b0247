"""The columns of the published EUFCC-340K files, followed by the URIs and origins of the tags."""

import csv
import io
import re
from collections.abc import Iterable

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.vocabulary import Vocabulary
from pipeline.facets import FACET_OF
from pipeline.published.format import BETWEEN_LEVELS, BETWEEN_TAGS, COLUMNS, DATABASE

SPLITS = ";\t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # where a spreadsheet of some locale may start another cell
# What does not show before a formula: spaces, quotation marks, separators, control and zero-width characters.
UNSEEN = '\\s",;|\\x00-\\x1f\\x85\u200b-\u200f\u2028\u2029\u2060\ufeff'
BEFORE_FORMULA = re.compile(f"(?<![{UNSEEN}])[{UNSEEN}]*+(?=[=+\\-@＝＋－＠])")  # linear: each run is read once


def as_csv(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """The published columns, then two columns per facet: AAT URIs and origins, in the order of the paths.

    A facet that the published files do not have gets no column of paths; its other columns are named after its key.
    """
    ours = [f"{_name(facet)}.{kind}" for facet in vocabulary.facets for kind in ("aat", "origin")]
    out = io.StringIO()
    # All cells are quoted, so that those who split at semicolons read a line's first cell as one too.
    writer = csv.DictWriter(out, [*COLUMNS, *ours], lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for image in images:
        row = _row(image, vocabulary, language)
        writer.writerow({name: without_formulas(value) for name, value in row.items()})
    return out.getvalue()


def _name(facet: str) -> str:
    return FACET_OF[facet].published or facet


def _row(image: ExportedImage, vocabulary: Vocabulary, language: str) -> dict[str, str]:
    row = {
        "idInSource": image.record_id or image.image_id,
        "#portraitMedia.original": image.source_url or "",
        "database": DATABASE if image.record_id else "",
        "repository.keeper": image.attribution or "",
    }
    by_facet = image.tags_by_facet()
    for facet in vocabulary.facets:
        tags, name = by_facet[facet], _name(facet)
        if FACET_OF[facet].published:
            row[f"{name}.hierarchy"] = BETWEEN_TAGS.join(_path(tag, vocabulary, language) for tag in tags)
        row[f"{name}.aat"] = BETWEEN_TAGS.join(tag.term.uri for tag in tags)
        row[f"{name}.origin"] = BETWEEN_TAGS.join(tag.origin for tag in tags)
    return row


def _path(tag: ExportedTag, vocabulary: Vocabulary, language: str) -> str:
    path = vocabulary.path(tag.term.tag_id) if tag.term.tag_id in vocabulary else []
    return BETWEEN_LEVELS.join(vocabulary.terms[step].label(language).text for step in path)


def without_formulas(value: str) -> str:
    """The value with an apostrophe before what a spreadsheet would run as a formula.

    A formula starts with one of `= + - @` or their full-width forms: at the start, behind characters that do not show,
    or where a spreadsheet that splits at semicolons, tabs or line ends starts a cell (owasp.org, "CSV Injection").
    """
    return BEFORE_FORMULA.sub(_escaped, value)


def _escaped(found: re.Match[str]) -> str:
    starts_a_cell = found.start() == 0 or any(character in SPLITS for character in found[0])
    return f"{found[0]}'" if starts_a_cell else found[0]
