"""The thesaurus excerpt of the rendered museum: facts of the AAT as a table, written out with Getty's predicates."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.sandbox.data import read_csv

EXCERPT_FILE = Path(__file__).with_name("thesaurus_excerpt.csv")
ATTRIBUTION = (
    "This folder contains information from the Art & Architecture Thesaurus (AAT)®, which is made available by the "
    "J. Paul Getty Trust under the Open Data Commons Attribution License (ODC-By) 1.0, "
    "https://opendatacommons.org/licenses/by/1-0/."
)
LANGUAGES = ("en", "de", "nl", "es", "fr")
AAT = "http://vocab.getty.edu/aat/"
GVP = "http://vocab.getty.edu/ontology#"
SKOS = "http://www.w3.org/2004/02/skos/core#"
XL = "http://www.w3.org/2008/05/skos-xl#"
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
DC_IDENTIFIER = "http://purl.org/dc/elements/1.1/identifier"
REPLACED_BY = "http://purl.org/dc/terms/isReplacedBy"
KINDS = {"concept": "Concept", "guide_term": "GuideTerm", "hierarchy": "Hierarchy", "facet": "Facet"}


def triples(file: Path = EXCERPT_FILE) -> Iterator[str]:
    """The excerpt as N-Triples, sorted, in the shape of Getty's explicit exports with the plain labels inferred."""
    yield from sorted({line for row in read_csv(file) for line in subject(row)})


def subject(row: Mapping[str, str]) -> Iterator[str]:
    """The triples of one row of the table; it may have a label in `ca` too."""
    subject = f"<{AAT}{row['id']}>"
    yield f'{subject} <{DC_IDENTIFIER}> "{row["id"]}" .\n'
    if row["kind"] == "obsolete":
        yield f"{subject} <{RDF_TYPE}> <{GVP}ObsoleteSubject> .\n"
        if row["replaced_by"]:
            yield f"{subject} <{REPLACED_BY}> <{AAT}{row['replaced_by']}> .\n"
    else:
        yield f"{subject} <{RDF_TYPE}> <{GVP}Subject> .\n"
        yield f"{subject} <{SKOS}inScheme> <{AAT}> .\n"
        if row["kind"] in KINDS:
            yield f"{subject} <{RDF_TYPE}> <{GVP}{KINDS[row['kind']]}> .\n"
    if row["preferred_parent"]:
        yield f"{subject} <{GVP}broaderPreferred> <{AAT}{row['preferred_parent']}> .\n"
        yield f"{subject} <{GVP}broader> <{AAT}{row['preferred_parent']}> .\n"
    for parent in _several(row["other_parents"]):
        yield f"{subject} <{GVP}broaderNonPreferred> <{AAT}{parent}> .\n"
        yield f"{subject} <{GVP}broader> <{AAT}{parent}> .\n"
    for language in (*LANGUAGES, "ca"):
        yield from _labels(row["id"], "prefLabel", language, row.get(language, ""))
    yield from _labels(row["id"], "altLabel", "en", row["alt_en"])


def _labels(concept: str, role: str, language: str, texts: str) -> Iterator[str]:
    """A label as a literal and as a term node, the English preferred one also as Getty's own choice."""
    for number, text in enumerate(_several(texts)):
        literal = f'"{_escaped(text)}"@{language}'
        term = f"<{AAT}term/{concept}-{language}-{role}-{number}>"
        yield f"<{AAT}{concept}> <{SKOS}{role}> {literal} .\n"
        yield f"<{AAT}{concept}> <{XL}{role}> {term} .\n"
        yield f"{term} <{RDF_TYPE}> <{XL}Label> .\n"
        yield f"{term} <{XL}literalForm> {literal} .\n"
        if role == "prefLabel" and language == "en" and number == 0:
            yield f"<{AAT}{concept}> <{GVP}prefLabelGVP> {term} .\n"


def _several(cell: str) -> list[str]:
    return [part for part in cell.split("|") if part]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
