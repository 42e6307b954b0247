"""Harvests keyword collections out of the weekly dumps into the raw pages that a harvest by the API leaves.

Every zip is read once for all collections. A record belongs to a collection when it has the type, open rights and a
thumbnail, as the API is asked for, and all the words of the keyword in its statements or in the labels of what it links
to. The pages hold the items that the Search API would give, and beside them Europeana's concepts, which the Entity API
would be asked for.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from time import monotonic
from urllib.parse import urlencode

from pipeline.files import sync
from pipeline.harvest.chunks import Chunk
from pipeline.harvest.dumps import Dataset, DumpPlace
from pipeline.harvest.edm import EdmError, EdmRecord, read_edm
from pipeline.harvest.entities import EntityConcept, read_concept
from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import EVERYTHING, FIRST_CURSOR, Page
from pipeline.harvest.items import normalised_rights
from pipeline.harvest.keywords import Keywords, words_of
from pipeline.harvest.pages import HarvestSummary, only_one
from pipeline.harvest.store import Generation, collections_in, generations, page_files, read_body, write_page
from pipeline.harvest.zips import records_in
from pipeline.settings import OPEN_RIGHTS, HarvestSettings
from pipeline.waits import Progress

JOURNAL = "datasets.jsonl"
Say = Callable[[str], None]


@dataclass(frozen=True)
class DumpHarvest:
    """What came of the dumps: a summary for each collection, and what was read for all of them in this run."""

    summaries: Mapping[str, HarvestSummary]
    zips: int
    seen: int  # records read, selected or not
    damaged: int  # files that are no records


@dataclass
class _Read:
    """One dataset, read: its line in the journal of a collection."""

    dataset: str
    version: str
    seen: int = 0
    damaged: int = 0
    records: int = 0  # of the collection
    repeated: int = 0


@dataclass
class _Target:
    """A collection that is being harvested."""

    keywords: Keywords
    generation: Generation
    done: dict[str, _Read] = field(default_factory=dict)

    @property
    def journal(self) -> Path:
        return self.generation.folder / JOURNAL

    def needs(self, dataset: Dataset) -> bool:
        """Whether the zip is still to be read, or has changed since a harvest that was stopped read it."""
        read = self.done.get(dataset.name)
        return not self.generation.complete and (read is None or read.version != dataset.version)

    def note(self, read: _Read) -> None:
        """Remember that a dataset was read, after its pages are on disk."""
        with self.journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(vars(read)) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.done[read.dataset] = read


def harvest_dumps(
    place: DumpPlace,
    folders: Mapping[str, Path],
    settings: HarvestSettings,
    *,
    open_rights: Sequence[str],
    say: Say = lambda _: None,
    progress: Progress | None = None,
) -> DumpHarvest:
    """Every record of the collections, into the collections' folders; a harvest that was stopped goes on.

    `say` is told of zips with damage, `progress(read, of)` after every zip that is to be read.
    Raises HarvestError when the dumps cannot be read, hold nothing of a collection, or more than `max_missing_share` of
    a zip is damaged; and for a `reusability` other than `open`.
    """
    if settings.reusability != "open":
        raise HarvestError(f"harvest.reusability is {settings.reusability!r}; from dumps only `open` can be selected.")
    started = monotonic()
    with ExitStack() as stack:
        for collection, folder in folders.items():
            stack.enter_context(only_one(folder, collection))
        datasets = place.datasets()
        if not datasets:
            raise HarvestError(f"There is no zip at {place.address}: set harvest.dumps to Europeana's folder XML.")
        targets = [_begun(place, name, folder, settings, open_rights) for name, folder in folders.items()]
        missing = [one for one in datasets if any(target.needs(one) for target in targets)]
        reads = []
        for number, one in enumerate(missing, start=1):
            reads.append(_read_for_all(place, one, targets, settings, open_rights, say))
            if progress is not None:
                progress(number, len(missing))
        seconds = round(monotonic() - started, 2)
        finished = {name: _finished(target, datasets) for name, target in zip(folders, targets, strict=True)}
    summaries = {name: HarvestSummary.of(one, requests=0, seconds=seconds) for name, one in finished.items()}
    return DumpHarvest(summaries, len(reads), sum(one.seen for one in reads), sum(one.damaged for one in reads))


def dumps_are_read(datasets: Sequence[Dataset], folder: Path) -> bool:
    """Whether a collection's folder holds exactly these zips; False where their place does not tell their versions."""
    found = generations(folder)
    if not found or not found[0].complete:
        return False
    read = {name: one.version for name, one in _journal(found[0].folder / JOURNAL).items()}
    there = {dataset.name: dataset.version for dataset in datasets}
    return read == there and all(there.values())


def concepts_in_pages(folder: Path, collections: Sequence[str]) -> Callable[[list[str]], list[EntityConcept]]:
    """Answers Europeana's concepts from what the dumps said of them, as the Entity API would."""
    known: dict[str, EntityConcept] = {}
    for harvests in collections_in(folder).values():
        for harvest in (one for one in harvests if one.collection in collections):
            for page in harvest.pages():
                for concept in read_body(page).get("concepts") or []:
                    known.setdefault(concept["about"], read_concept(concept))
    return lambda uris: [known[uri] for uri in uris if uri in known]


def is_open(rights: str, open_rights: Sequence[str]) -> bool:
    """Whether a rights URI, however it is spelled, begins as one of the open ones."""
    return _bare(normalised_rights(rights)).startswith(tuple(map(_bare, open_rights)))


def _bare(uri: str) -> str:
    return uri.strip().removeprefix("https://").removeprefix("http://")


def _begun(
    place: DumpPlace, collection: str, folder: Path, settings: HarvestSettings, open_rights: Sequence[str]
) -> _Target:
    """The collection's harvest from these dumps, as far as it is; pages of another source are removed."""
    keywords, request = Keywords(collection, settings), _request(place, collection, settings, open_rights)
    earlier = generations(folder)
    if earlier and earlier[0].request == request:
        return _Target(keywords, earlier[0], _journal(earlier[0].folder / JOURNAL))
    for other in (one for one in folder.iterdir() if one.is_dir()):
        shutil.rmtree(other)
    moment = (settings.as_of or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    generation = Generation(folder / "000-whole", collection, "whole", moment, request, (None, None), None, 0, ())
    generation.write()
    return _Target(keywords, generation)


def _request(place: DumpPlace, collection: str, settings: HarvestSettings, open_rights: Sequence[str]) -> str:
    """What was selected from where: it stands with every record, as the search does in a harvest by the API."""
    queries = (collection, *settings.keyword_translations.get(collection, ()))
    asked = [("query", " OR ".join(queries)), ("qf", f"TYPE:{settings.media_type}"), ("reusability", "open")]
    further = [("rights", prefix) for prefix in open_rights if prefix not in OPEN_RIGHTS]
    return f"{place.address}?{urlencode([*asked, ('thumbnail', 'true'), *further])}"


def _journal(file: Path) -> dict[str, _Read]:
    """The datasets that were read to their end; a last line that a kill has torn does not count."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
    return {read.dataset: read for line in lines for read in [_Read(**json.loads(line))]}


def _read_for_all(
    place: DumpPlace,
    dataset: Dataset,
    targets: Sequence[_Target],
    settings: HarvestSettings,
    open_rights: Sequence[str],
    say: Say,
) -> _Read:
    """Read one zip for all collections that have not read it yet."""
    waiting = [target for target in targets if target.needs(dataset)]
    pages = [_Pages(target, dataset, settings.rows) for target in waiting]
    whole, wanted = _Read(dataset.name, dataset.version), _Selection(waiting, settings, open_rights)
    first, concepts = "", dict[str, dict[str, object]]()  # as its first record describes each
    with place.opened(dataset) as file:
        for name, content in records_in(file, dataset):
            whole.seen += 1
            try:
                if isinstance(content, EdmError):
                    raise content
                record = wanted.record(content, PurePosixPath(name).suffix)
                found = record and wanted.targets(record)
            except EdmError as error:
                whole.damaged, first = whole.damaged + 1, first or f"{name}: {error}"
                continue
            if record is not None and found:
                text = json.dumps(record.item(), ensure_ascii=False, separators=(",", ":"))
                concepts |= {str(concept["about"]): concept for concept in record.concepts(concepts)}
                for at in found:
                    pages[at].add(record.record_id, text, {uri: concepts[uri] for uri in record.concept_uris()})
    if whole.damaged:
        _tell_of_damage(whole, first, settings, say)
    for each in pages:
        each.finish(whole)
    return whole


def _tell_of_damage(read: _Read, first: str, settings: HarvestSettings, say: Say) -> None:
    told = f"{read.damaged} of {read.seen} files in {read.dataset}.zip are no records ({first})"
    if read.damaged > max(1, int(settings.max_missing_share * read.seen)):
        raise HarvestError(f"{told}: fetch the zip again, or raise `harvest.max_missing_share`.")
    say(f"{told}; they are left out.")


class _Selection:
    """Which records are wanted, decided on the bytes where they tell, because most records are not."""

    def __init__(self, targets: Sequence[_Target], settings: HarvestSettings, open_rights: Sequence[str]) -> None:
        self._keywords = [target.keywords for target in targets]
        self._type, self._open = settings.media_type, tuple(open_rights)
        self._type_bytes = settings.media_type.encode()
        self._open_bytes = [_bare(prefix).rstrip("/").lower().encode() for prefix in open_rights]

    def record(self, content: bytes, suffix: str) -> EdmRecord | None:
        """The record if it may be wanted. Raises EdmError."""
        if b"&#" not in content and b"\\u" not in content:  # letters written as numbers are seen by the parser alone
            lowered = content.lower()
            if self._type_bytes not in content or not any(prefix in lowered for prefix in self._open_bytes):
                return None
        record = read_edm(content, suffix)
        rights = record.rights
        if record.media_type != self._type or rights is None or not is_open(rights, self._open):
            return None
        return record if record.preview else None

    def targets(self, record: EdmRecord) -> list[int]:
        """The numbers of the collections that the record belongs to."""
        words = words_of(record.texts())
        return [at for at, keywords in enumerate(self._keywords) if keywords.found_in(words)]


class _Pages:
    """The pages of one dataset in one collection, written as they fill."""

    def __init__(self, target: _Target, dataset: Dataset, rows: int) -> None:
        self._target, self._dataset, self._rows = target, dataset, rows
        self._folder = target.generation.folder / dataset.name
        shutil.rmtree(self._folder, ignore_errors=True)  # of a zip that was not read to its end
        self._ids: set[str] = set()
        self._page: list[tuple[str, str]] = []
        self._concepts: dict[str, dict[str, object]] = {}  # of this page
        self._known: set[str] = set()  # of the pages before
        self._pages = self._repeated = 0

    def add(self, record_id: str, item: str, concepts: Mapping[str, dict[str, object]]) -> None:
        """Add one item, as JSON, and the concepts that came with it."""
        if record_id in self._ids:
            self._repeated += 1
            return
        if len(self._page) == self._rows:
            self._write(last=False)
        self._ids.add(record_id)
        self._page.append((record_id, item))
        self._concepts |= {uri: said for uri, said in concepts.items() if uri not in self._known}

    def finish(self, read: _Read) -> None:
        """Write what is left, and note the dataset as read."""
        if self._page:
            self._write(last=True)
            for file in page_files(self._folder):
                sync(file)
            sync(self._folder)
        self._target.note(replace(read, records=len(self._ids), repeated=self._repeated))

    def _write(self, *, last: bool) -> None:
        self._pages += 1
        concepts = json.dumps(list(self._concepts.values()), ensure_ascii=False, separators=(",", ":"))
        head = f'{{"success":true,"itemsCount":{len(self._page)},"items":['
        body = f'{head}{",".join(item for _, item in self._page)}],"concepts":{concepts}}}'
        request = f"{self._target.generation.request}#{self._dataset.name}"
        page = Page(request, [{"id": record_id} for record_id, _ in self._page], len(self._ids), None, body)
        cursor = FIRST_CURSOR if self._pages == 1 else str(self._pages)
        answered = datetime.now(UTC).isoformat(timespec="seconds")
        write_page(self._folder, self._pages, page, cursor, None if last else str(self._pages + 1), answered)
        self._known |= self._concepts.keys()
        self._page, self._concepts = [], {}


def _finished(target: _Target, datasets: Sequence[Dataset]) -> Generation:
    """The harvest, complete: its chunks are the datasets that hold something of the collection."""
    if target.generation.complete:
        return target.generation
    reads = [target.done[dataset.name] for dataset in datasets]
    received = sum(read.records for read in reads)
    if received == 0:
        raise HarvestError(
            f"The dumps hold no open record with an image for the keyword {target.keywords.collection!r}: check its"
            " spelling, or take it out of the collections in settings."
        )
    chunks = tuple(Chunk(read.dataset, EVERYTHING, read.records) for read in reads if read.records)
    repeated = sum(read.repeated for read in reads)
    return replace(target.generation, chunks=chunks, total=received).finish(received, received, repeated)
