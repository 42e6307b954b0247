"""CSV files for two collection management systems: Omeka S (module CSV Import) and CollectiveAccess.

docs/omeka-s.md and docs/collectiveaccess.md say how to take them in.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from ml.assistant.exports.exported import ExportedImage, ExportedTag
from ml.assistant.exports.published_csv import without_formulas
from ml.assistant.vocabulary import Vocabulary
from pipeline.facets import FACET_OF

BETWEEN_OMEKA = "|"  # "multivalue separator" in the module's form; no URI and no label has it
BETWEEN_CA = ";"  # the option `delimiter` of the mapping
TERMS = {"dc:type": "dcterms:type", "dc:subject": "dcterms:subject"}  # Omeka S has the terms of dcterms only


def as_omeka_s(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """One item a row. The columns are properties, which the module maps by itself; a tag is `URI label`."""
    properties = {facet: TERMS.get(FACET_OF[facet].edm, FACET_OF[facet].edm) for facet in vocabulary.facets}
    names = ["dcterms:identifier", "dcterms:title", *dict.fromkeys(properties.values())]
    names += ["dcterms:source", "dcterms:provenance", "media_source"]
    return _table(names, (_omeka_row(image, properties, language) for image in images))


def _omeka_row(image: ExportedImage, properties: Mapping[str, str], language: str) -> dict[str, str]:
    row = {"dcterms:identifier": image.record_id or image.image_id, "dcterms:title": image.title or image.image_id}
    for facet, tags in image.tags_by_facet().items():
        if facet in properties:
            known = [row[properties[facet]]] if row.get(properties[facet]) else []
            uris = [f"{tag.term.uri} {_label(tag, language, BETWEEN_OMEKA)}" for tag in tags]
            row[properties[facet]] = BETWEEN_OMEKA.join(known + uris)
    row["dcterms:source"] = image.source_url or image.uri
    row["dcterms:provenance"] = BETWEEN_OMEKA.join(_assignments(image.tags, language, BETWEEN_OMEKA))
    row["media_source"] = image.source_url or ""
    return row


def as_collectiveaccess(images: Iterable[ExportedImage], vocabulary: Vocabulary, language: str) -> str:
    """One object a row. Each facet has a column of URIs, for the information service AAT, and one of labels."""
    kinds = [f"{facet}{ending}" for facet in vocabulary.facets for ending in ("_aat", "_labels")]
    names = ["idno", "title", *kinds, "provider", "source_url", "assigned_by"]
    return _table(names, (_ca_row(image, vocabulary.facets, language) for image in images))


def _ca_row(image: ExportedImage, facets: Sequence[str], language: str) -> dict[str, str]:
    row = {"idno": image.record_id or image.image_id, "title": image.title or image.image_id}
    by_facet = image.tags_by_facet()
    for facet in facets:
        row[f"{facet}_aat"] = BETWEEN_CA.join(tag.term.uri for tag in by_facet[facet])
        row[f"{facet}_labels"] = BETWEEN_CA.join(_label(tag, language, BETWEEN_CA) for tag in by_facet[facet])
    row |= {"provider": image.attribution or "", "source_url": image.source_url or ""}
    return row | {"assigned_by": BETWEEN_CA.join(_assignments(image.tags, language, BETWEEN_CA))}


def _label(tag: ExportedTag, language: str, separator: str) -> str:
    return tag.term.label(language).text.replace(separator, ",")


def _assignments(tags: Sequence[ExportedTag], language: str, separator: str) -> list[str]:
    """Who assigned each tag, as one statement each."""
    said = []
    for tag in tags:
        by = tag.who if tag.origin == "human" else f"{tag.model} (machine)"
        day = f", {tag.at:%Y-%m-%d}" if tag.at is not None else ""
        said.append(f"{_label(tag, language, separator)}: {by}{day}".replace(separator, ","))
    return said


def _table(names: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: without_formulas(value) for name, value in row.items()})
    return out.getvalue()
