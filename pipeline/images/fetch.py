"""Every wanted image fetched, checked and stored, as far as its provider gives it; resumable after any interruption."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import polars as pl

from pipeline.images.decoders import Content, Decoders
from pipeline.images.download import Downloaded, Downloader, Known, Refusal, Trouble
from pipeline.images.guard import GuardedTransport, Resolver, resolve
from pipeline.images.ledger import Fetch, Ledger
from pipeline.images.schedule import Outages, Schedule
from pipeline.images.shards import Target, write_shards
from pipeline.images.verify import Limits, Picture, Rejected
from pipeline.images.wanted import WANTED, may_answer_with_icon
from pipeline.settings import HttpSettings, ImageSettings
from pipeline.tables import FETCHES

# Europeana's icons for a missing picture: image, sound, text, video, 3D (Thumbnail API, version 2).
EUROPEANA_PLACEHOLDERS = (
    "9b81b5fee241cee7aba478d1cd20715c1ae2601bcfca8c09e327731dfddf9bf5",
    "6b51e5cddf05e0bac0825a3ca19711057b13b628d9006d2599681e7f361cc369",
    "71de9d34f79e47a6d32b9ffe2931ea8d3584ed4c0f5bcb3686a5653564e1827a",
    "b06d7fd39556f96ec94048f5964efa7d097b1bea72dd5d247a59e5f17825b1e2",
    "61aee4627b657c58cbd63da3caf3df8bac5b1fabbc067ceeeeb3bb1d02b55e28",
)
# Changed when the code that makes a stored picture changes, so that old ones are fetched again.
PICTURE_VERSION = 3
Result = TypeVar("Result")


@dataclass(frozen=True)
class FetchSummary:
    """What a run of fetching did."""

    wanted: int  # rows asked for
    usable: int  # rows with an image in the end
    requests: int  # made in this run, redirects included
    bytes_received: int  # in this run
    seconds: float
    states: dict[str, int]  # URLs of the ledger by state
    reasons: dict[str, int]  # failed and rejected URLs by typed reason
    next_try: float | None  # seconds since 1970; when the first failed URL may be asked again
    shards: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left that may still be fetched."""
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
    progress: Callable[[int, int], None] | None = None,
) -> FetchSummary:
    """Fetch what is wanted and not yet there; write `fetches.parquet` and the shards of `images/` in the folder.

    `wanted` has record_id, view, url and fallback_url (asked when url gives nothing). `refresh` asks again for what
    is there, by conditional requests. `retry_now` does not wait for a failed URL's next try. `shards` is another
    place for the shards (any fsspec path). `progress(done, of)` is called after every URL. The shards depend on what
    the URLs answer and on nothing else: not on order, speed or interruptions.
    """
    started = time.monotonic()
    wanted = wanted.select(pl.col(name).cast(kind) for name, kind in WANTED.items()).sort("record_id", "view")
    ledger = Ledger(folder / "cache" / "images.sqlite", _recipe(settings))
    try:
        wanted = _without_taken_down(wanted, ledger, settings.takedown_file)
        run = _Run(wanted, ledger, settings, http, retry_now=retry_now, refresh=refresh, progress=progress)
        run_async(run.fetch(folder / "cache" / "incoming", resolver))
        usable = _usable(wanted, ledger)
        count = write_shards(usable, ledger, shards or folder / "images", settings)
        fetches = ledger.table()
    finally:
        ledger.close()
    FETCHES.write(fetches, folder / "fetches.parquet")
    failed = fetches.filter(pl.col("state") != "fetched", pl.col("reason").is_not_null())
    return FetchSummary(
        wanted=len(wanted),
        usable=len(usable),
        requests=run.requests,
        bytes_received=run.bytes_received,
        seconds=time.monotonic() - started,
        states=dict(sorted(Counter(fetches["state"].to_list()).items())),
        reasons=dict(sorted(Counter(failed["reason"].to_list()).items())),
        next_try=ledger_next_try(fetches),
        shards=count,
    )


def ledger_next_try(fetches: pl.DataFrame) -> float | None:
    """When the first failed URL may be asked again, in seconds since 1970."""
    moments = fetches.filter(pl.col("state") == "failed")["next_try"].drop_nulls()
    return None if moments.is_empty() else float(moments.dt.epoch("us").min()) / 1e6  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Job:
    row: int  # of the frame of URLs
    fallback: bool
    tries: int = 0  # in this run


class _Run:
    """One run of fetching: which URLs are asked, and what becomes of each answer."""

    def __init__(
        self,
        wanted: pl.DataFrame,
        ledger: Ledger,
        settings: ImageSettings,
        http: HttpSettings,
        *,
        retry_now: bool,
        refresh: bool,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._ledger, self._settings, self._http = ledger, settings, http
        self._refresh, self._progress = refresh, progress
        self._placeholders = frozenset((*EUROPEANA_PLACEHOLDERS, *settings.placeholder_sha256))
        self._schedule: Schedule[_Job] = Schedule(settings.connections, settings.connections_per_host)
        self._outages = Outages(http.backoff_first_s, http.backoff_cap_s, settings.host_patience_s)
        self._decoders: Decoders
        self._downloader: Downloader
        self._total = self._done = 0
        self.requests = self.bytes_received = 0
        self._now = float("inf") if retry_now else time.time()
        self._urls = self._plan(wanted)

    async def fetch(self, incoming: Path, resolver: Resolver) -> None:
        """Ask every URL that is due."""
        if self._total == 0:
            return
        incoming.mkdir(parents=True, exist_ok=True)
        for left_over in incoming.iterdir():
            left_over.unlink()
        images = self._settings
        limits = Limits(images.short_side, images.min_short_side, images.jpeg_quality, images.max_pixels)
        transport = GuardedTransport(
            connections=images.connections, allowed=images.allowed_addresses, hosts=self._http.hosts, resolver=resolver
        )
        self._downloader = Downloader(transport, images, self._http, incoming)
        decoders = Decoders(
            limits,
            count=images.decoders,
            timeout_s=images.decode_timeout_s,
            memory_mb=images.decode_memory_mb,
        )
        try:
            async with decoders as self._decoders:
                await self._schedule.run(self._one)
        finally:
            await transport.aclose()
            self._ledger.commit()
            self.requests = self._downloader.requests

    def _plan(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """Distinct URLs with their fallback; those that are due are queued, in the order of `wanted`."""
        urls = wanted.select("url", "fallback_url").unique("url", keep="first", maintain_order=True)
        states = self._ledger.states().select("url", "state", "next_try", "content_sha256")
        known = urls.join(states, on="url", how="left", maintain_order="left").join(
            states.rename({"url": "fallback_url"}),
            on="fallback_url",
            how="left",
            suffix="_of_fallback",
            maintain_order="left",
        )
        columns = ("state", "next_try", "content_sha256")
        for row, (first, second) in enumerate(
            zip(
                known.select(columns).iter_rows(),
                known.select(f"{name}_of_fallback" for name in columns).iter_rows(),
                strict=True,
            )
        ):
            if self._due(first[0], first[1]):
                self._queue(urls, _Job(row, fallback=False))
            elif first[2] is None and urls["fallback_url"][row] is not None and self._due(second[0], second[1]):
                self._queue(urls, _Job(row, fallback=True))
        return urls

    def _due(self, state: str | None, next_try: float | None) -> bool:
        if state is None or self._refresh:
            return True
        return state == "failed" and (next_try or 0.0) <= self._now

    def _queue(self, urls: pl.DataFrame, job: _Job) -> None:
        self._total += 1
        self._schedule.add(_host(_url(urls, job)), job)

    async def _one(self, host: str, job: _Job) -> None:
        """Ask one URL once and keep what came of it."""
        url = _url(self._urls, job)
        before = self._ledger.fetch(url) or Fetch(url, "failed")
        asked = replace(before, attempts=before.attempts + 1, next_try=None, reason=None, http_status=None)
        try:
            known = Known(before.etag, before.last_modified) if before.content_sha256 else None
            answer = await self._downloader.download(url, known)
            self._outages.over(host)
            self._schedule.leave_host(host)
            self.bytes_received += answer.size
            await self._keep(asked, answer)
        except (Refusal, Rejected) as error:
            status = error.status if isinstance(error, Refusal) else 200
            if status is not None:
                self._outages.over(host)
            self._ledger.record(
                replace(asked, state="rejected", reason=error.reason, http_status=status, content_sha256=None)
            )
            self._fall_back(job)
        except Trouble as trouble:
            self._try_again(host, job, asked, trouble)
            return
        self._count()

    async def _keep(self, asked: Fetch, answer: Downloaded) -> None:
        """Verify a body and record it; raises Rejected."""
        if answer.content is None or answer.sha256 is None:
            self._ledger.record(replace(asked, state="unchanged", http_status=304))
            return
        try:
            picture = await self._verified(asked.url, answer, answer.content)
        finally:
            if answer.content.file is not None:
                answer.content.file.unlink(missing_ok=True)
        self._ledger.record(
            replace(
                asked,
                state="fetched",
                http_status=answer.status,
                etag=answer.etag,
                last_modified=answer.last_modified,
                content_sha256=answer.sha256,
                fetched_at=time.time(),
            ),
            picture,
        )

    async def _verified(self, url: str, answer: Downloaded, content: Content) -> Picture | None:
        """The picture, or None when these very bytes were verified before."""
        if answer.sha256 in self._placeholders:
            raise Rejected("placeholder", "Europeana's icon for a missing picture")
        # The service's own pictures carry both headers, its icons neither (dossier, section 4).
        icon = may_answer_with_icon(url) and answer.etag is None and answer.last_modified is None
        if not icon and self._ledger.has_picture(str(answer.sha256)):
            return None
        return await self._decoders.verify(content, may_be_placeholder=icon)

    def _try_again(self, host: str, job: _Job, asked: Fetch, trouble: Trouble) -> None:
        """Queue the job once more in this run, or leave it to the next.

        What fails because its host is away for a moment loses no try: the museum may be starting again.
        """
        failed = replace(asked, state="failed", reason=trouble.reason, http_status=trouble.status)
        rest_s, costs_a_try, left = trouble.wait_s, True, False
        if trouble.unreachable:
            costs_a_try = not self._outages.away(host)
            rest_s = self._outages.rest_s(host)
            left = rest_s is None
        else:
            self._outages.over(host)
        if rest_s:
            self._schedule.rest(host, min(rest_s, self._http.backoff_cap_s))
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

    def _leave(self, host: str) -> None:
        """A host that is away: its other URLs wait for a later run instead of each timing out."""
        next_try = time.time() + self._settings.retry_after_s
        for job in self._schedule.take_all(host):
            url = _url(self._urls, job)
            before = self._ledger.fetch(url) or Fetch(url, "failed")
            self._ledger.record(replace(before, state="failed", reason="host_unreachable", next_try=next_try))
            self._fall_back(job)
            self._count()

    def _fall_back(self, job: _Job) -> None:
        """Ask the second URL when the first gave nothing, unless its own outcome is known."""
        second = self._urls["fallback_url"][job.row]
        if job.fallback or second is None:
            return
        known = self._ledger.fetch(second)
        if known is None or self._due(known.state, known.next_try):
            self._queue(self._urls, _Job(job.row, fallback=True))

    def _count(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _url(urls: pl.DataFrame, job: _Job) -> str:
    return str(urls["fallback_url" if job.fallback else "url"][job.row])


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # a broken URL is refused when its turn comes
        return ""


def _recipe(settings: ImageSettings) -> dict[str, object]:
    """What decides the bytes of a stored picture."""
    return {
        "version": PICTURE_VERSION,
        "short_side": settings.short_side,
        "min_short_side": settings.min_short_side,
        "jpeg_quality": settings.jpeg_quality,
        "max_pixels": settings.max_pixels,
    }


def _without_taken_down(wanted: pl.DataFrame, ledger: Ledger, file: Path | None) -> pl.DataFrame:
    """The rows that may be fetched; pictures of the others are forgotten."""
    ledger.put_back()
    if file is None:
        return wanted
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    listed = [line for line in lines if line and not line.startswith("#")]
    down = (
        pl.col("record_id").is_in(listed)
        | pl.col("url").is_in(listed)
        | pl.col("fallback_url").is_in(listed).fill_null(False)
    )
    stays, goes = wanted.filter(~down), wanted.filter(down)
    still_asked = {*stays["url"].to_list(), *stays["fallback_url"].to_list()}
    urls = {*goes["url"].to_list(), *goes["fallback_url"].drop_nulls().to_list()} - still_asked
    ledger.take_down(sorted(urls))
    return stays


def _usable(wanted: pl.DataFrame, ledger: Ledger) -> pl.DataFrame:
    """Columns record_id, view, image_id, source_url of the wanted rows that have a picture."""
    have = ledger.states().filter(pl.col("content_sha256").is_not_null()).select("url", image_id="content_sha256")
    first = wanted.join(have, on="url", how="left", maintain_order="left")
    second = first.join(
        have.rename({"url": "fallback_url"}), on="fallback_url", how="left", suffix="_2", maintain_order="left"
    )
    return (
        second.with_columns(
            source_url=pl.when(pl.col("image_id").is_not_null()).then("url").otherwise("fallback_url"),
            image_id=pl.coalesce("image_id", "image_id_2"),
        )
        .filter(pl.col("image_id").is_not_null())
        .select("record_id", "view", "image_id", "source_url")
    )


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, also where a loop is already running, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    outcome: list[Result] = []
    thread = threading.Thread(target=lambda: outcome.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return outcome[0]
