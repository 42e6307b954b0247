"""Walks one chunk page by page; nothing is lost when the server errs or the process is killed."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.harvest.chunks import Chunk
from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import BAD_CURSOR, FIRST_CURSOR, EuropeanaClient, Page
from pipeline.harvest.store import page_files, remove_pages, unbroken, write_page
from pipeline.http import Refused
from pipeline.settings import HarvestSettings

RESTARTS = 2  # how often a chunk is restarted when the server no longer knows its cursor


@dataclass(frozen=True)
class Walked:
    """The outcome of walking one chunk."""

    received: int  # distinct records
    repeated: int  # items that came again
    expected: int  # what the server last announced, or the chunk's limit
    requests: int


class Walk:
    """The walk of one chunk into its folder; it resumes an earlier walk there."""

    def __init__(
        self,
        client: EuropeanaClient,
        collection: str,
        chunk: Chunk,
        folder: Path,
        settings: HarvestSettings,
        profile: str,
    ) -> None:
        self._client = client
        self._collection = collection
        self._chunk = chunk
        self._folder = folder
        self._settings = settings
        self._profile = profile
        self._requests = 0
        self._resume()

    def pages(self, stop: threading.Event) -> Iterator[int]:
        """Request page after page until the walk ends or `stop` is set; yields the records so far after each.

        Raises HarvestError and `pipeline.http`'s.
        """
        while self._cursor is not None and not stop.is_set():
            self._next_page(self._cursor)
            yield len(self._seen)

    def walked(self) -> Walked:
        """What there is of the chunk by now."""
        return Walked(len(self._seen), self._repeated, self._expected(self._total), self._requests)

    @property
    def done(self) -> bool:
        """Whether the walk has ended."""
        return self._cursor is None

    def _resume(self) -> None:
        files = page_files(self._folder)
        heads = unbroken(files, self._client.http.settings.max_body_bytes)
        remove_pages(files[len(heads) :])
        self._pages = len(heads)
        self._cursor = heads[-1].next_cursor if heads else FIRST_CURSOR
        self._total = heads[-1].total if heads else self._chunk.count
        self._cursors = {head.cursor for head in heads}
        self._seen: set[str] = set()
        self._repeated = 0
        self._short_pages = False
        for head in heads:
            self._note(head.ids)

    def _note(self, ids: tuple[str, ...]) -> None:
        before = len(self._seen)
        self._seen.update(ids)
        self._repeated += len(ids) - (len(self._seen) - before)

    def _next_page(self, cursor: str) -> None:
        """Request the page at the cursor, write it, and move to the next."""
        try:
            page, next_cursor = self._trusted_page(cursor)
        except Refused as refusal:
            if refusal.code != BAD_CURSOR:
                raise
            self._restart(refusal)
            return
        self._pages += 1
        answered_at = datetime.fromtimestamp(self._client.http.clock.now(), UTC).isoformat(timespec="seconds")
        write_page(self._folder, self._pages, page, cursor, next_cursor, answered_at)
        self._note(tuple(page.ids))
        self._cursors.add(cursor)
        self._total, self._cursor = page.total, next_cursor

    def _restart(self, refusal: Refused) -> None:
        """Start again: the server no longer knows the cursor, and earlier pages may not fit later ones."""
        self._restarts = getattr(self, "_restarts", 0) + 1
        if self._restarts > RESTARTS or self._cursor == FIRST_CURSOR:
            raise HarvestError(
                f"The walk through {self._collection!r} was begun {self._restarts} times and each time Europeana"
                f" refused its cursor; run the harvest again later. {refusal}",
                transient=True,
            )
        remove_pages(page_files(self._folder))
        self._resume()

    def _trusted_page(self, cursor: str) -> tuple[Page, str | None]:
        """The page at the cursor, and the next cursor.

        A page that ends the walk before the announced total, or that skips records, is requested again: a server under
        load may give such pages. Raises HarvestError when records stay missing.
        """
        answers: list[tuple[Page, str | None]] = []
        for page in self._asked(cursor):
            next_cursor = self._where_next(page, cursor)
            answers.append((page, next_cursor))
            if not self._doubtful(page, next_cursor):
                return answers[-1]
        page, next_cursor = max(answers, key=lambda answer: (answer[1] is not None, len(set(answer[0].ids))))
        if next_cursor is None:
            self._check_end(page, min(self._expected(page.total) for page, _ in answers))
        elif page.items:
            self._short_pages = True  # asked for again and still short: this server leaves some out
        return page, next_cursor

    def _asked(self, cursor: str) -> Iterator[Page]:
        """The page at the cursor, requested once and up to `doubts` times more."""
        for attempt in range(self._settings.doubts + 1):
            try:
                self._requests += 1
                yield self._client.search(self._collection, cursor, self._chunk.window, profile=self._profile)
            except Refused as refusal:
                if refusal.code != BAD_CURSOR or attempt == self._settings.doubts:
                    raise

    def _where_next(self, page: Page, cursor: str) -> str | None:
        """The next cursor; None at the end, when the cursor is absent or was seen before."""
        limit = self._chunk.limit
        if limit is not None and self._received_with(page) >= limit:
            return None
        if page.next_cursor is None or page.next_cursor == cursor or page.next_cursor in self._cursors:
            return None
        return page.next_cursor

    def _doubtful(self, page: Page, next_cursor: str | None) -> bool:
        missing = self._received_with(page) < self._expected(page.total)
        if next_cursor is None or not page.items:
            return missing
        return missing and len(page.items) < self._settings.rows and not self._short_pages

    def _received_with(self, page: Page) -> int:
        return len(self._seen) + len(set(page.ids) - self._seen)

    def _expected(self, total: int) -> int:
        return total if self._chunk.limit is None else min(total, self._chunk.limit)

    def _check_end(self, page: Page, announced: int) -> None:
        """Accept the end if few records are missing: the index may change during the walk."""
        self._requests += 1
        counted = self._expected(self._client.count(self._collection, self._chunk.window))
        expected, received = min(announced, counted), self._received_with(page)
        if expected - received > max(1, int(self._settings.max_missing_share * expected)):
            raise HarvestError(
                f"Europeana ended the walk through {self._collection!r} ({self._chunk.name}) after {received} of"
                f" {expected} records; run the harvest again, it goes on at its last page.",
                transient=True,
            )
