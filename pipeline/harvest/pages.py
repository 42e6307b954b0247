"""Harvests a keyword collection into raw pages: in parallel chunks, resumable, complete or an error."""

import fcntl
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.files import remove_left_overs
from pipeline.harvest.chunks import Chunk, plan_chunks, solr_time
from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import EuropeanaClient, Window
from pipeline.harvest.store import Generation, generations
from pipeline.harvest.walk import Walk, Walked
from pipeline.settings import HarvestSettings
from pipeline.waits import Progress

PROFILES = {"whole": "rich", "refresh": "rich", "ids": "minimal"}


@dataclass(frozen=True)
class HarvestSummary:
    """The outcome of a harvest of one collection."""

    collection: str
    as_of: str
    expected: int  # records announced
    received: int  # distinct records received
    repeated: int  # items that came more than once
    chunks: int
    requests: int  # searches of this run; 0 when everything was there, or came from the dumps
    seconds: float

    @classmethod
    def of(cls, harvest: Generation, requests: int, seconds: float) -> "HarvestSummary":
        """What a complete harvest says of itself, and what this run took."""
        return cls(
            collection=harvest.collection,
            as_of=harvest.as_of,
            expected=harvest.expected or 0,
            received=harvest.received or 0,
            repeated=harvest.repeated or 0,
            chunks=len(harvest.chunks),
            requests=requests,
            seconds=seconds,
        )

    def metadata(self) -> dict[str, int | float | str]:
        """For Dagster's page of the asset."""
        return {name: value for name, value in asdict(self).items() if name != "collection"}


def harvest_collection(
    client: EuropeanaClient,
    collection: str,
    folder: Path,
    settings: HarvestSettings,
    progress: Progress | None = None,
) -> HarvestSummary:
    """Every record of a keyword collection as raw pages in the collection's folder.

    Each page is written atomically, with its cursor, before the next is requested; a harvest that was stopped, even by
    kill -9, resumes at its last page, and a complete one sends no request. When the search or the caps in the settings
    differ from the folder's, the folder is replaced as soon as Europeana has answered the new search.
    `progress(received, announced)` is called after every page, in records. Raises HarvestError when nothing is found or
    records stay missing, and the errors of `pipeline.http`.
    """
    with only_one(folder, collection):
        earlier = generations(folder)
        if earlier and (earlier[0].request, earlier[0].caps) != (client.request(collection), _caps(settings)):
            _must_find(collection, client.count(collection), settings)  # else the old pages stay
            for generation in earlier:
                shutil.rmtree(generation.folder)
            earlier = []
        unfinished = earlier[0] if earlier else None
        return walk_generation(client, collection, folder, settings, "whole", unfinished, progress=progress)


def refresh_collection(
    client: EuropeanaClient,
    collection: str,
    folder: Path,
    settings: HarvestSettings,
    progress: Progress | None = None,
) -> HarvestSummary:
    """What Europeana has updated since the last harvest of the collection; n changed records cost O(n) requests.

    The window begins `refresh_overlap_hours` before the moment the last complete harvest declared, because the index
    shows updates with delay. Raises HarvestError when the collection has not been harvested whole.
    """
    with only_one(folder, collection):
        done = [generation for generation in generations(folder) if generation.kind != "ids"]
        if not done or not done[0].complete or done[0].request != client.request(collection):
            raise HarvestError(f"{collection!r} has not been harvested whole: harvest it before it is refreshed.")
        unfinished = done[-1] if not done[-1].complete else None
        watermark = datetime.fromisoformat([generation for generation in done if generation.complete][-1].as_of)
        since = solr_time(watermark - timedelta(hours=settings.refresh_overlap_hours))
        return walk_generation(client, collection, folder, settings, "refresh", unfinished, since, progress)


def walk_generation(
    client: EuropeanaClient,
    collection: str,
    folder: Path,
    settings: HarvestSettings,
    kind: str,
    unfinished: Generation | None,
    updated_from: str | None = None,
    progress: Progress | None = None,
) -> HarvestSummary:
    """Walk a new generation of the collection, or the rest of the unfinished one; a complete one is left as it is."""
    clock = client.http.clock
    started = clock.now()
    remove_left_overs(folder)
    generation = unfinished or _planned(client, collection, folder, settings, kind, updated_from)
    requests = 0
    if not generation.complete:
        walked = _walk_chunks(client, generation, settings, progress)
        requests = sum(chunk.requests for chunk in walked)
        generation = generation.finish(
            received=sum(chunk.received for chunk in walked),
            expected=sum(chunk.expected for chunk in walked),
            repeated=sum(chunk.repeated for chunk in walked),
        )
    return HarvestSummary.of(generation, requests, round(clock.now() - started, 2))


def _planned(
    client: EuropeanaClient,
    collection: str,
    folder: Path,
    settings: HarvestSettings,
    kind: str,
    updated_from: str | None,
) -> Generation:
    """A new generation; its chunks and its declared moment are written before the first page is requested."""
    as_of = settings.as_of or datetime.fromtimestamp(client.http.clock.now(), UTC)
    chunks = plan_chunks(client, collection, Window(updated_from=updated_from), settings)
    total = sum(chunk.count for chunk in chunks)
    if kind == "whole":
        _must_find(collection, total, settings)
    number = len([place for place in folder.iterdir() if place.is_dir()])
    generation = Generation(
        folder=folder / f"{number:03d}-{kind}",
        collection=collection,
        kind=kind,
        as_of=as_of.astimezone(UTC).isoformat(timespec="seconds"),
        request=client.request(collection),
        caps=_caps(settings),
        updated_from=updated_from,
        total=total,
        chunks=tuple(chunks),
    )
    generation.write()
    return generation


def _must_find(collection: str, total: int, settings: HarvestSettings) -> None:
    if total == 0:
        raise HarvestError(
            f"Europeana finds no {settings.reusability} record with an image for the keyword {collection!r}:"
            " check its spelling, or take it out of the collections in settings."
        )


def _caps(settings: HarvestSettings) -> tuple[int | None, int | None]:
    return settings.max_records_per_collection, settings.max_records_per_provider


def _walk_chunks(
    client: EuropeanaClient, generation: Generation, settings: HarvestSettings, progress: Progress | None
) -> list[Walked]:
    """Walk the chunks, `chains` at a time; the first failure stops the others after their page."""
    stop, lock, received = threading.Event(), threading.Lock(), Counter[str]()

    def walk(chunk: Chunk) -> Walked:
        folder = generation.folder / chunk.name
        chain = Walk(client, generation.collection, chunk, folder, settings, PROFILES[generation.kind])
        for so_far in chain.pages(stop):
            with lock:
                received[chunk.name] = so_far
                if progress is not None:
                    progress(received.total(), generation.total)
        return chain.walked()

    with ThreadPoolExecutor(settings.chains, thread_name_prefix="chain") as pool:
        running: list[Future[Walked]] = [pool.submit(walk, chunk) for chunk in generation.chunks]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # all are done; or one has failed, or Ctrl-C came: the others end after their page
    failures = [error for future in running if (error := future.exception()) is not None]
    if failures:
        raise failures[0]
    return [future.result() for future in running]


@contextmanager
def only_one(folder: Path, collection: str) -> Iterator[None]:
    """Lock the collection's folder; raises HarvestError while another process harvests into it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise HarvestError(
            f"Another process is harvesting {collection!r} into {folder.name}: wait for it, or stop it."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)
