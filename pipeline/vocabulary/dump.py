"""The AAT out of local files: N-Triples, plain or gzipped, or Getty's archive explicit.zip."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, cast

import polars as pl
import pyoxigraph as ox

from pipeline.encodings import DAMAGED_ZIP, PACKED_AS, CappedReader, EncodingError, TooLong
from pipeline.settings import VocabularySettings
from pipeline.vocabulary import subjects
from pipeline.vocabulary.identifiers import AAT
from pipeline.vocabulary.subjects import Subject, concept_rows

# Members of explicit.zip that hold nothing we read, though most of its bytes (dossier, section 1).
_UNREAD_MEMBERS = ("source", "contrib", "revision", "alignment", "associative", "semantic", "ordered", "sameas")


MAX_BYTES = VocabularySettings().max_dump_bytes


class DumpError(ValueError):
    """A dump that cannot be read; the message names the file, and the line where there is one."""


class DumpSource:
    """The subjects of local dumps, read once at the first question and kept in memory."""

    def __init__(self, paths: Sequence[Path], max_bytes: int = MAX_BYTES) -> None:
        if not paths:
            raise DumpError("No dump of the AAT was named; give at least one .nt, .nt.gz or .zip file.")
        self.paths, self._max_bytes = tuple(paths), max_bytes

    @cached_property
    def subjects(self) -> dict[str, Subject]:
        """Every subject of the dumps, by id. Raises DumpError for an unreadable file."""
        return read_dumps(self.paths, self._max_bytes)

    def fetch(self, ids: Sequence[str]) -> dict[str, Subject]:
        """These subjects alone; those that the dumps do not know are left out."""
        known = self.subjects
        return {each: known[each] for each in ids if each in known}

    def all_concepts(self) -> pl.DataFrame:
        """Rows of `concepts` for every subject of the dumps."""
        return concept_rows(self.subjects)


def read_dumps(paths: Sequence[Path], max_bytes: int = MAX_BYTES) -> dict[str, Subject]:
    """Every subject of the AAT in the files, of at most so many bytes each after decompression, by id.

    Raises DumpError.
    """
    collected: dict[str, Subject] = {}
    texts: dict[str, tuple[str, str]] = {}  # text of a label's or note's node
    waiting: list[tuple[Subject, str, str]] = []  # subject, predicate, node; nodes may come in a later file
    for path in paths:
        for name, stream in _streams(path, max_bytes):
            _read_triples(name, stream, collected, texts, waiting)
    for subject, predicate, node in waiting:
        if node in texts:
            language, text = texts[node]
            subject.add_text(predicate, language, text)
    return {concept_id: subject for concept_id, subject in collected.items() if subject.exists}


def _read_triples(
    name: str,
    stream: IO[bytes],
    collected: dict[str, Subject],
    texts: dict[str, tuple[str, str]],
    waiting: list[tuple[Subject, str, str]],
) -> None:
    wanted, of_node, length = subjects.PROPERTIES, subjects.TEXT_OF_NODE, len(AAT)
    try:
        for quad in ox.parse(stream, ox.RdfFormat.N_TRIPLES):
            predicate = quad.predicate.value
            if predicate in of_node:
                literal = quad.object
                if isinstance(literal, ox.Literal) and not isinstance(quad.subject, ox.Triple):
                    texts[quad.subject.value] = (literal.language or "def", literal.value)
                continue
            if predicate not in wanted or not isinstance(quad.subject, ox.NamedNode):
                continue
            uri = quad.subject.value
            if not uri.startswith(AAT) or not uri[length:].isdigit():
                continue
            subject = collected.get(uri[length:])
            if subject is None:
                subject = collected[uri[length:]] = Subject()
            _add(subject, predicate, quad.object, waiting)
    except SyntaxError as error:
        raise DumpError(f"{name}: line {error.lineno} is not an N-Triples statement ({error.msg}).") from error
    except TooLong as error:
        raise DumpError(
            f"{name} has {error}, which is not read; fetch it again, or raise vocabulary.max_dump_bytes."
        ) from error
    except (EncodingError, OSError, *DAMAGED_ZIP, MemoryError) as error:
        raise DumpError(f"{name} is damaged ({error}); fetch it again.") from error


def _add(
    subject: Subject,
    predicate: str,
    value: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple,
    waiting: list[tuple[Subject, str, str]],
) -> None:
    if isinstance(value, ox.Literal):
        subject.add_text(predicate, value.language, value.value)
    elif predicate in subjects.URIS:
        if isinstance(value, ox.NamedNode):
            subject.add_uri(predicate, value.value)
    elif not isinstance(value, ox.Triple):
        waiting.append((subject, predicate, value.value))


def _streams(path: Path, limit: int) -> Iterator[tuple[str, IO[bytes]]]:
    """The N-Triples streams of a file, each with a name for messages."""
    if not path.is_file():
        raise DumpError(f"The AAT dump {path} does not exist; name another, or leave it out to ask Getty's endpoint.")
    if path.suffix == ".zip":
        with _archive(path) as archive:
            for member in sorted(archive.infolist(), key=lambda one: one.filename):
                name = member.filename
                if name.endswith(".nt") and not any(word in name.lower() for word in _UNREAD_MEMBERS):
                    if member.compress_type not in PACKED_AS:
                        raise DumpError(f"{path.name}/{name} is not compressed by deflate: unpack it, and name that.")
                    with CappedReader(archive.open(member), limit) as stream:
                        yield f"{path.name}/{name}", cast(IO[bytes], stream)
    else:
        with CappedReader(path.open("rb"), limit, "gzip" if path.suffix == ".gz" else "identity") as plain:
            yield path.name, cast(IO[bytes], plain)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*DAMAGED_ZIP, OSError) as error:
        raise DumpError(f"{path.name} is damaged ({error}); fetch it again.") from error
