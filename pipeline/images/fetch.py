"""Fetches, checks and stores all wanted images that their providers serve; resumable after any interruption."""

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import polars as pl

from pipeline.http_errors import NoFirstAnswer
from pipeline.images.decoders import Decoders
from pipeline.images.download import Downloaded, Downloader, Refusal, Trouble
from pipeline.images.guard import Resolver, guarded_client, resolve
from pipeline.images.ledger import Fetch, Ledger
from pipeline.images.schedule import Outages, Schedule
from pipeline.images.shards import Target, write_shards
from pipeline.images.takedowns import idle_takedowns, without_taken_down
from pipeline.images.verify import Limits, Picture, Rejected
from pipeline.images.wanted import WANTED, may_answer_with_icon
from pipeline.settings import HttpSettings, ImageSettings
from pipeline.tables import FETCHES
from pipeline.waits import SILENT_S, Patience, Progress

# Europeana's icons for a missing picture: image, sound, text, video, 3D (Thumbnail API, version 2).
EUROPEANA_PLACEHOLDERS = (
    "9b81b5fee241cee7aba478d1cd20715c1ae2601bcfca8c09e327731dfddf9bf5",
    "6b51e5cddf05e0bac0825a3ca19711057b13b628d9006d2599681e7f361cc369",
    "71de9d34f79e47a6d32b9ffe2931ea8d3584ed4c0f5bcb3686a5653564e1827a",
    "b06d7fd39556f96ec94048f5964efa7d097b1bea72dd5d247a59e5f17825b1e2",
    "61aee4627b657c58cbd63da3caf3df8bac5b1fabbc067ceeeeb3bb1d02b55e28",
)
# Increased when the code that makes a stored picture changes, so that old pictures are fetched again.
PICTURE_VERSION = 4  # 4: ICC profiles and every readable orientation are applied
# Increased when an answer that was rejected may now be accepted: the next run requests those answers again, no others.
REFUSAL_RULES = 2  # 2: damaged metadata, every TIFF, codings and spellings that browsers read
Result = TypeVar("Result")


@dataclass(frozen=True)
class FetchSummary:
    """The result of one run of fetching."""

    wanted: int  # rows
    usable: int  # rows with an image after the run
    requests: int  # of this run, redirects included
    bytes_received: int  # in this run
    seconds: float
    states: dict[str, int]  # URLs of the ledger per state
    reasons: dict[str, int]  # failed and rejected URLs per typed reason
    next_try: float | None  # seconds since 1970; when the first failed URL may be tried again
    shards: int
    idle_takedowns: tuple[str, ...] = ()  # lines of the take-down list that name nothing wanted

    @property
    def complete(self) -> bool:
        """Whether no URL is left that may still be fetched."""
        return self.states.get("failed", 0) == 0


def fetch_images(
    wanted: pl.DataFrame,
    folder: Path,
    settings: ImageSettings,
    http: HttpSettings,
    *,
    refresh: bool = False,
    retry_now: bool = False,
    resolver: Resolver = resolve,
    shards: Target | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> FetchSummary:
    """Fetches the wanted images that are missing; writes `fetches.parquet` and the shards of `images/` to the folder.

    `wanted` has record_id, view, url and fallback_url (requested if url gives nothing). `refresh` requests existing
    images again, conditionally. `retry_now` does not wait for the next try of failed URLs. `shards` is another place
    for the shards (any fsspec path). `progress(done, total)` is called after every URL; `patience` is told of waits
    for hosts. The shards depend on the answers of the URLs alone, not on order, speed or interruptions.

    Raises NoFirstAnswer when `patience` ends before any host has taken a connection, in this or an earlier run.
    """
    started = time.monotonic()
    wanted = wanted.select(pl.col(name).cast(kind) for name, kind in WANTED.items()).sort("record_id", "view")
    ledger = Ledger(folder / "cache" / "images.sqlite", _recipe(settings))
    try:
        idle = idle_takedowns(wanted, settings.takedown_file)
        wanted = without_taken_down(wanted, ledger, settings.takedown_file)
        options = {"retry_now": retry_now, "refresh": refresh}
        run = _Run(wanted, ledger, settings, http, **options, progress=progress, patience=patience or Patience())
        run_async(run.fetch(folder / "cache" / "incoming", resolver))
        usable = _usable(wanted, ledger)
        count = write_shards(usable, ledger, shards or folder / "images", settings)
        fetches = ledger.table()
    finally:
        ledger.close()
    FETCHES.write(fetches, folder / "fetches.parquet")
    return FetchSummary(
        wanted=len(wanted),
        usable=len(usable),
        requests=run.requests,
        bytes_received=run.bytes_received,
        seconds=time.monotonic() - started,
        shards=count,
        idle_takedowns=idle,
        **_outcomes(fetches),
    )


def _outcomes(fetches: pl.DataFrame) -> dict[str, Any]:
    """States and reasons of all URLs, counted, and when the first failed one is due."""
    failed = fetches.filter(pl.col("state") != "fetched", pl.col("reason").is_not_null())
    next_try: Any = fetches.filter(state="failed")["next_try"].dt.epoch("us").min()
    return {
        "states": dict(fetches.group_by("state").len().sort("state").iter_rows()),
        "reasons": dict(failed.group_by("reason").len().sort("reason").iter_rows()),
        "next_try": None if next_try is None else float(next_try) / 1e6,
    }


@dataclass(frozen=True)
class _Job:
    url: str
    fallback_url: str | None = None
    tries: int = 0  # in this run


ANY_HOST = "the image servers"  # for a Patience: whether any of them has answered


class _Run:
    """One run of fetching: which URLs are requested, and what is done with every answer."""

    def __init__(
        self,
        wanted: pl.DataFrame,
        ledger: Ledger,
        settings: ImageSettings,
        http: HttpSettings,
        *,
        retry_now: bool,
        refresh: bool,
        progress: Progress | None,
        patience: Patience,
    ) -> None:
        self._ledger, self._settings, self._http = ledger, settings, http
        self._refresh, self._progress, self._patience = refresh, progress, patience
        self._placeholders = frozenset((*EUROPEANA_PLACEHOLDERS, *settings.placeholder_sha256))
        self._schedule: Schedule[_Job] = Schedule(settings.connections, settings.connections_per_host)
        self._outages = Outages(http.backoff_first_s, http.backoff_cap_s, settings.host_patience_s)
        self._decoders: Decoders
        self._downloader: Downloader
        self._total = self._done = 0
        self.requests = self.bytes_received = 0
        self._now = float("inf") if retry_now else time.time()
        self._plan(wanted)

    async def fetch(self, incoming: Path, resolver: Resolver) -> None:
        """Requests every URL that is due."""
        if self._total == 0:
            return
        incoming.mkdir(parents=True, exist_ok=True)
        for left_over in incoming.iterdir():
            left_over.unlink()
        images = self._settings
        limits = Limits(images.short_side, images.min_short_side, images.jpeg_quality, images.max_pixels)
        client = guarded_client(
            connections=images.connections, allowed=images.allowed_addresses, hosts=self._http.hosts, resolver=resolver
        )
        self._downloader = Downloader(client, images, self._http, incoming)
        decoders = Decoders(
            limits, count=images.decoders, timeout_s=images.decode_timeout_s, memory_mb=images.decode_memory_mb
        )
        try:
            async with decoders as self._decoders:
                await self._schedule.run(self._one)
        finally:
            await client.aclose()
            self._ledger.commit()
            self.requests = self._downloader.requests

    def _plan(self, wanted: pl.DataFrame) -> None:
        """Queues the distinct URLs that are due, or else their fallbacks, in the order of `wanted`."""
        known = {row[0]: row[1:] for row in self._ledger.states().iter_rows()}
        self._patience.begin(ANY_HOST, time.time())
        if any(state in ("fetched", "unchanged") for state, *_ in known.values()):
            self._patience.answered(ANY_HOST)
        unknown = (None, None, None, None)
        urls = wanted.select("url", "fallback_url").unique("url", keep="first", maintain_order=True)
        for url, fallback_url in urls.iter_rows():
            *asked, content = known.get(url, unknown)
            if self._due(*asked):
                self._queue(_Job(url, fallback_url))
            elif content is None and fallback_url is not None and self._due(*known.get(fallback_url, unknown)[:3]):
                self._queue(_Job(fallback_url))

    def _due(self, state: str | None, next_try: float | None, rules: int | None) -> bool:
        if state is None or self._refresh:
            return True
        if state == "rejected":
            return (rules or 0) < REFUSAL_RULES
        return state == "failed" and (next_try or 0.0) <= self._now

    def _queue(self, job: _Job) -> None:
        self._total += 1
        try:
            host = urlsplit(job.url).netloc.lower()
        except ValueError:  # broken URLs are rejected when it is their turn
            host = ""
        self._schedule.add(host, job)

    async def _one(self, host: str, job: _Job) -> None:
        """Requests one URL once and records the outcome."""
        url = job.url
        before = self._ledger.fetch(url) or Fetch(url, "failed")
        asked = replace(before, attempts=before.attempts + 1, next_try=None, reason=None, http_status=None, rules=None)
        try:
            stored = before if before.content_sha256 else Fetch(url, "failed")
            answer = await self._downloader.download(url, etag=stored.etag, last_modified=stored.last_modified)
            self._answered(host)
            self._schedule.leave_host(host)
            self.bytes_received += answer.size
            await self._keep(asked, answer)
        except (Refusal, Rejected) as error:
            status = error.status if isinstance(error, Refusal) else 200
            if status is not None:
                self._answered(host)
            rejected = replace(asked, state="rejected", reason=error.reason, http_status=status, content_sha256=None)
            self._ledger.record(replace(rejected, rules=REFUSAL_RULES))
            self._fall_back(job)
        except Trouble as trouble:
            self._try_again(host, job, asked, trouble)
            return
        self._count()

    async def _keep(self, asked: Fetch, answer: Downloaded) -> None:
        """Verifies a body and records it; raises Rejected."""
        content = answer.content
        if content is None:
            self._ledger.record(replace(asked, state="unchanged", http_status=304))
            return
        try:
            picture = await self._verified(asked.url, answer)
        finally:
            if content.file is not None:
                content.file.unlink(missing_ok=True)
        fetched = replace(
            asked,
            state="fetched",
            http_status=answer.status,
            etag=answer.etag,
            last_modified=answer.last_modified,
            content_sha256=answer.sha256,
            fetched_at=time.time(),
        )
        self._ledger.record(fetched, picture)

    async def _verified(self, url: str, answer: Downloaded) -> Picture | None:
        """The picture, or None if these very bytes were verified before."""
        if answer.sha256 in self._placeholders:
            raise Rejected("placeholder", "Europeana's icon for a missing picture")
        # The service sends both headers with its own pictures, neither with its icons (dossier, section 4).
        icon = may_answer_with_icon(url) and answer.etag is None and answer.last_modified is None
        if answer.content is None or (not icon and self._ledger.has_picture(str(answer.sha256))):
            return None
        return await self._decoders.verify(answer.content, may_be_placeholder=icon)

    def _answered(self, host: str) -> None:
        self._outages.over(host)
        self._patience.answered(ANY_HOST)

    def _try_again(self, host: str, job: _Job, asked: Fetch, trouble: Trouble) -> None:
        """Queues the job once more in this run, or leaves it to the next run.

        A failure because the host is down for a moment does not count as a try: the server may be restarting.
        """
        failed = replace(asked, state="failed", reason=trouble.reason, http_status=trouble.status)
        rest_s, costs_a_try, left = trouble.wait_s, True, False
        if trouble.unreachable:
            costs_a_try = not self._outages.away(host)
            rest_s = self._outages.rest_s(host)
            left = rest_s is None
            self._give_up_where_nobody_answers(trouble)
        else:
            self._answered(host)
        if rest_s:
            self._rest(host, min(rest_s, self._http.backoff_cap_s), trouble)
        if left or (costs_a_try and job.tries + 1 >= self._settings.attempts):
            self._ledger.record(replace(failed, next_try=time.time() + self._settings.retry_after_s))
            self._fall_back(job)
            self._count()
        else:
            self._ledger.record(replace(failed, next_try=time.time()))
            wait_s = min(self._http.backoff_first_s * 2**job.tries, self._http.backoff_cap_s)
            self._schedule.add_later(host, replace(job, tries=job.tries + costs_a_try), wait_s)
        if left:
            self._leave(host)

    def _rest(self, host: str, seconds: float, trouble: Trouble) -> None:
        self._schedule.rest(host, seconds)
        if seconds > SILENT_S:
            what = "takes no connection" if trouble.unreachable else f"asks to wait ({trouble.reason})"
            self._patience.say(host, what, time.time() + seconds, "its images are asked for again")

    def _give_up_where_nobody_answers(self, trouble: Trouble) -> None:
        if self._patience.left_s(ANY_HOST, time.time()) < 0:
            raise NoFirstAnswer(
                f"No image server has taken a connection in {self._patience.first_answer_s:.0f} s ({trouble.reason}). "
                "`eufcc doctor` looks at the network and http.hosts in the settings; `eufcc run --wait` keeps trying."
            )

    def _leave(self, host: str) -> None:
        """Leaves the other URLs of a host that is down to a later run, so that they do not time out one by one."""
        next_try = time.time() + self._settings.retry_after_s
        for job in self._schedule.take_all(host):
            before = self._ledger.fetch(job.url) or Fetch(job.url, "failed")
            self._ledger.record(replace(before, state="failed", reason="host_unreachable", next_try=next_try))
            self._fall_back(job)
            self._count()

    def _fall_back(self, job: _Job) -> None:
        """Queues the fallback URL of a job that gave nothing, unless its outcome is known."""
        if job.fallback_url is None:
            return
        known = self._ledger.fetch(job.fallback_url)
        if known is None or self._due(known.state, known.next_try, known.rules):
            self._queue(_Job(job.fallback_url))

    def _count(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _recipe(settings: ImageSettings) -> dict[str, object]:
    """Everything that determines the bytes of a stored picture."""
    names = ("short_side", "min_short_side", "jpeg_quality", "max_pixels")
    return {"version": PICTURE_VERSION, **{name: getattr(settings, name) for name in names}}


def _usable(wanted: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Columns record_id, view, image_id, source_url of the wanted rows that have a picture."""
    have = ledger.states().drop_nulls("content_sha256").select("url", "content_sha256")
    pictures = dict(have.iter_rows())

    def picture_of(column: str) -> pl.Expr:
        return pl.col(column).replace_strict(pictures, default=None, return_dtype=pl.String)

    first = picture_of("url")
    return wanted.select(
        "record_id",
        "view",
        image_id=pl.coalesce(first, picture_of("fallback_url")),
        source_url=pl.when(first.is_not_null()).then("url").otherwise("fallback_url"),
    ).drop_nulls("image_id")


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine to its end, also if a loop is already running, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
