"""A museum folder on disk: read, checked line by line, and ready to be searched and served."""

import json
import os
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import pyoxigraph

from pipeline.encodings import CappedReader, EncodingError, TooLong
from pipeline.sandbox.index import Index
from pipeline.sandbox.query import Search
from pipeline.settings import VocabularySettings
from pipeline.text_files import read_lines, read_rows
from pipeline.texts import loads
from pipeline.vocabulary.identifiers import aat_id

RECORD_ID = re.compile(r"/[^/\s]+/[^/\s]+")
ENTITY_URI = re.compile(r"https?://data\.europeana\.eu/concept/(?:base/)?(\d+)")
IDS_PER_QUERY = 500
MAX_THESAURUS_BYTES = VocabularySettings().max_dump_bytes  # of one file, after decompression
# The fields of an item that hold lists of texts, and those that hold one text.
LISTS = (
    *("title", "dataProvider", "provider", "rights", "country", "language", "year", "edmDatasetName", "edmConcept"),
    *("edmIsShownBy", "edmIsShownAt", "edmPreview", "dcCreator", "dcContributor", "dcDescription"),
    *("hasView", "edmObject"),
)
LABELS = ("prefLabel", "altLabel")
TEXTS = ("type", "timestamp_created", "timestamp_update")


class MuseumError(ValueError):
    """The museum folder cannot be used; the message names the file, the line and what to do."""


class MuseumFolder:
    """A museum folder in memory: where each record begins, what finds it, which file answers which URL.

    The format is described in docs/museum-folder.md. Raises MuseumError with file and line for anything that could
    not be served.
    """

    def __init__(self, folder: Path) -> None:
        folder = Path(folder)
        if not folder.is_dir():
            raise MuseumError(
                f"There is no museum folder at {folder}; render one with `python -m pipeline.sandbox render {folder}`."
            )
        _refuse_links_out_of(folder)
        self.entities = _entities(folder / "entities.jsonl")
        self.thesaurus = _thesaurus(folder)
        self.index = Index(tuple(_lines(folder / "open_rights.txt")))
        self._lines = self._read_records(folder / "records.jsonl")
        self.media = _media(folder)
        self.moved = _moved(folder / "moved.csv")
        self._records = os.open(folder / "records.jsonl", os.O_RDONLY)
        weakref.finalize(self, os.close, self._records)

    def _read_records(self, file: Path) -> list[tuple[int, int]]:
        """Make every record findable, and give offset and length of its line; no record stays in memory."""
        if not file.exists():
            raise MuseumError(
                f"{file} is missing; a museum folder needs a records.jsonl with one Search API item per line."
            )
        concepts = {uri for _, _, item in _items(file) for uri in item.get("edmConcept", [])}
        labels = labels_of_concepts(concepts, self.entities, self.thesaurus)
        read: list[tuple[int, int]] = []
        for number, line, item in _items(file):
            try:
                self.index.add(item, labels)
            except ValueError as error:
                raise _line_error(file, number, str(error)) from error
            read.append(line)
        if not read:
            raise MuseumError(f"{file} holds no record; a museum needs at least one line.")
        return read

    def __len__(self) -> int:
        return len(self._lines)

    def find(self, search: Search) -> Sequence[int]:
        """Positions of the records that the search finds, in its order."""
        return self.index.find(search)

    def record_id(self, position: int) -> str:
        """The id of the record at a position."""
        return self.index.ids[position]

    def position(self, record_id: str) -> int | None:
        """Where a record is, or None when there is no such record."""
        return self.index.position.get(record_id)

    def item(self, position: int) -> dict[str, Any]:
        """The Search API item at a position, as the folder holds it."""
        start, length = self._lines[position]
        return checked(loads(os.pread(self._records, length, start)))

    def facet(self, name: str, positions: Sequence[int]) -> list[tuple[str, int]]:
        """Values of a field among the records at these positions with their counts, most frequent first."""
        return self.index.facet(name, positions)

    def entity(self, uri: str) -> dict[str, Any] | None:
        """The Europeana concept with this URI, else the one under its other spelling (concept/N, concept/base/N)."""
        return find_entity(self.entities, uri)


def find_entity(entities: Mapping[str, dict[str, Any]], uri: str) -> dict[str, Any] | None:
    """The entity as written, else under the other spelling: records hold both, and so may a museum's entities."""
    match = ENTITY_URI.fullmatch(uri)
    if match is None:
        return None
    spellings = (uri, *(f"http://data.europeana.eu/concept/{base}{match[1]}" for base in ("", "base/")))
    return next((entities[spelling] for spelling in spellings if spelling in entities), None)


def _refuse_links_out_of(folder: Path) -> None:
    """Raises MuseumError if the folder, which may be a stranger's, holds a link to what lies outside of it."""
    root = folder.resolve()
    for path in sorted(folder.iterdir()):
        if not path.resolve().is_relative_to(root):
            raise MuseumError(f"{path} is a link out of the folder; put a copy of what it leads to in its place.")


def _items(file: Path) -> Iterator[tuple[int, tuple[int, int], dict[str, Any]]]:
    """Line number, offset with length, and item of every record."""
    for number, line, item in _json_lines(file):
        record_id = item.get("id")
        if not isinstance(record_id, str) or not RECORD_ID.fullmatch(record_id):
            raise _line_error(file, number, f"its `id` is {record_id!r}, not `/dataset/local`")
        try:
            yield number, line, checked(item)
        except TypeError as error:
            raise _line_error(file, number, str(error)) from error


def checked(item: dict[str, Any]) -> dict[str, Any]:
    """The item with lists where Europeana writes lists: a bare text is a list of one, a null is left out.

    Raises TypeError for any other value, with a sentence on the field.
    """
    item = {name: value for name, value in item.items() if value is not None}
    for name in LISTS:
        value = item.get(name, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise TypeError(f"`{name}` must be a list of strings")
        if name in item:
            item[name] = value
    for name in TEXTS:
        if not isinstance(item.get(name, ""), str):
            raise TypeError(f"`{name}` must be a string")
    return item


def _json_lines(file: Path) -> Iterator[tuple[int, tuple[int, int], dict[str, Any]]]:
    """Line number, offset with length, and object of every line that is not blank."""
    start = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, (start, len(line)), _json_object(file, number, line)
            start += len(line)


def _json_object(file: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = loads(line)
    except json.JSONDecodeError as error:
        raise _line_error(file, number, f"not JSON (character {error.pos + 1}: {error.msg})") from error
    except UnicodeDecodeError as error:
        raise _line_error(file, number, f"not UTF-8 (at byte {error.start + 1})") from error
    except ValueError as error:
        raise _line_error(file, number, f"not JSON ({error})") from error
    if not isinstance(value, dict):
        raise _line_error(file, number, "not a JSON object")
    return value


def _line_error(file: Path, number: int, what: str) -> MuseumError:
    return MuseumError(f"{file}, line {number}: {what}; correct or remove this line.")


def _entities(file: Path) -> dict[str, dict[str, Any]]:
    entities: dict[str, dict[str, Any]] = {}
    for number, _, entity in _json_lines(file) if file.exists() else ():
        if not isinstance(entity.get("id"), str) or not ENTITY_URI.fullmatch(entity["id"]):
            raise _line_error(file, number, f"its `id` is {entity.get('id')!r}, not a Europeana concept URI")
        if entity["id"] in entities:
            raise _line_error(file, number, f"a second entity {entity['id']}")
        for name in LABELS:
            if not _are_texts_by_language(entity.get(name)):
                raise _line_error(file, number, f"`{name}` must give texts by language")
        entities[entity["id"]] = {name: value for name, value in entity.items() if value is not None}
    return entities


def _are_texts_by_language(labels: object) -> bool:
    """Texts, or lists of them, by language; null stands for none."""
    if not isinstance(labels, dict):
        return labels is None
    listed = [texts if isinstance(texts, list) else [texts or ""] for texts in labels.values()]
    return all(isinstance(text, str) for texts in listed for text in texts)


def _media(folder: Path) -> dict[str, Path]:
    """URL → file; every file is checked to be there and inside the folder."""
    file = folder / "media.csv"
    if not file.exists():
        raise MuseumError(f"{file} is missing; a museum folder needs a media.csv with the columns url,file.")
    media: dict[str, Path] = {}
    root = (folder / "media").resolve()
    for line in read_rows(file, ("url", "file"), MuseumError):
        url, name = line.fields["url"], line.fields["file"]
        if not url.startswith(("http://", "https://")):
            raise _line_error(file, line.number, f"expected an http(s) URL and a file name, found {url!r}, {name!r}")
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise _line_error(file, line.number, f"there is no file media/{name}")
        if url in media:
            raise _line_error(file, line.number, f"a second row for {url}")
        media[url] = path
    return media


def _moved(file: Path) -> dict[str, str]:
    """URL → the URL that it redirects to."""
    moved: dict[str, str] = {}
    for line in read_rows(file, ("url", "to"), MuseumError) if file.exists() else ():
        url, to = line.fields["url"], line.fields["to"]
        if not all(each.startswith(("http://", "https://")) for each in (url, to)):
            raise _line_error(file, line.number, f"expected two http(s) URLs, found {url!r}, {to!r}")
        moved[url] = to
    return moved


def _thesaurus(folder: Path) -> pyoxigraph.Store:
    store = pyoxigraph.Store()
    for file in sorted([*folder.glob("*.nt.gz"), *folder.glob("*.nt")]):
        try:
            coding = "gzip" if file.suffix == ".gz" else "identity"
            with CappedReader(file.open("rb"), MAX_THESAURUS_BYTES, coding) as triples:
                store.bulk_load(cast(IO[bytes], triples), format=pyoxigraph.RdfFormat.N_TRIPLES)
        except TooLong as error:
            raise MuseumError(f"{file} is not read: it has {error}; cut or remove this file.") from error
        except (SyntaxError, OSError, EncodingError, MemoryError) as error:
            raise MuseumError(f"{file} is not N-Triples: {error}; correct or remove this file.") from error
    return store


def _lines(file: Path) -> list[str]:
    return read_lines(file, MuseumError) if file.exists() else []


def labels_of_concepts(
    uris: set[str], entities: Mapping[str, dict[str, Any]], thesaurus: pyoxigraph.Store
) -> dict[str, tuple[str, ...]]:
    """Preferred and alternative labels of each concept URI in all languages; the search looks into them."""
    by_id: dict[str, set[str]] = {}
    ids = {uri: concept_id for uri in uris if (concept_id := aat_id(uri))}
    wanted = sorted(set(ids.values()))
    for first in range(0, len(wanted), IDS_PER_QUERY):
        values = " ".join(f"<http://vocab.getty.edu/aat/{name}>" for name in wanted[first : first + IDS_PER_QUERY])
        rows = thesaurus.query(
            "PREFIX skos: <http://www.w3.org/2004/02/skos/core#> "
            f"SELECT ?x ?l {{ VALUES ?x {{ {values} }} ?x skos:prefLabel|skos:altLabel ?l }}"
        )
        for row in rows:  # type: ignore[union-attr]
            by_id.setdefault(row["x"].value[-9:], set()).add(row["l"].value)
    labels: dict[str, tuple[str, ...]] = {}
    for uri in sorted(uris):
        if uri in ids:
            labels[uri] = tuple(sorted(by_id.get(ids[uri], ())))
        elif (entity := find_entity(entities, uri)) is not None:
            labels[uri] = tuple(_entity_labels(entity))
    return labels


def _entity_labels(entity: Mapping[str, Any]) -> Iterator[str]:
    """Preferred labels are strings, alternative ones lists, both by language."""
    for name in LABELS:
        for texts in entity.get(name, {}).values():
            yield from [texts] if isinstance(texts, str) else filter(None, texts or ())
