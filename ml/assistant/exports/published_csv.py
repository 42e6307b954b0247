"""The columns of the published EUFCC-340K files, followed by the URIs and origins of the tags."""

import csv
import io
from collections.abc import Iterable

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.vocabulary import Vocabulary
from pipeline.facets import FACET_OF
from pipeline.published.format import BETWEEN_LEVELS, BETWEEN_TAGS, COLUMNS, DATABASE


def as_csv(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """The published columns, then two columns per facet: AAT URIs and origins, in the order of the paths.

    A facet that the published files do not have gets no column of paths; its other columns are named after its key.
    """
    ours = [f"{_name(facet)}.{kind}" for facet in vocabulary.facets for kind in ("aat", "origin")]
    out = io.StringIO()
    writer = csv.DictWriter(out, [*COLUMNS, *ours], lineterminator="\n")
    writer.writeheader()
    for image in images:
        row = _row(image, vocabulary, language)
        writer.writerow({name: _no_formula(value) for name, value in row.items()})
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


def _no_formula(value: str) -> str:
    """The value; with an apostrophe in front if a spreadsheet would run it as a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
