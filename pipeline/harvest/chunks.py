"""A large collection cut into chunks that are walked side by side, the chunks' counts checked against the total."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import EuropeanaClient, Window
from pipeline.settings import HarvestSettings
from pipeline.texts import REPLACEMENT

FINEST = timedelta(seconds=1)  # what was created within a second is not cut further
COUNTS = 3  # how often counts that do not add up are taken again: the index may change between two of them


@dataclass(frozen=True)
class Chunk:
    """A window of a collection that is walked by one thread, up to `limit` records."""

    name: str
    window: Window
    count: int  # records found when the chunks were planned
    limit: int | None = None


def plan_chunks(client: EuropeanaClient, collection: str, window: Window, settings: HarvestSettings) -> list[Chunk]:
    """The chunks of a collection, in a fixed order; one alone when it is small.

    A cap ends chunks early: a collection above its cap is a single chunk, and so is each provider above its cap.
    """
    total = client.count(collection, window)
    most = settings.max_records_per_collection
    if most is not None and total > most:
        return [Chunk("part-000", window, total, limit=most)]
    limited, rest = _by_large_provider(client, collection, window, settings)
    count = client.count(collection, rest) if limited else total
    windows = _halved(client, collection, rest, count, settings)
    limits = [None] * len(windows) + [settings.max_records_per_provider] * len(limited)
    return [
        Chunk(f"part-{number:03d}", chunk, size, limit)
        for number, ((chunk, size), limit) in enumerate(zip([*windows, *limited], limits, strict=True))
    ]


def _by_large_provider(
    client: EuropeanaClient, collection: str, window: Window, settings: HarvestSettings
) -> tuple[list[tuple[Window, int]], Window]:
    """A window for every data provider above the cap, and the one of all others."""
    most = settings.max_records_per_provider
    if most is None:
        return [], window
    counts = client.providers(collection, window)
    # A name that came damaged finds nothing when it is asked for: its records stay with all others.
    large = sorted(name for name, count in counts.items() if count > most and REPLACEMENT not in name)
    rest = dataclasses.replace(window, without_providers=tuple(large))
    return [(dataclasses.replace(window, provider=name), counts[name]) for name in large], rest


def _halved(
    client: EuropeanaClient, collection: str, window: Window, count: int, settings: HarvestSettings
) -> list[tuple[Window, int]]:
    """The window cut in time until no piece is too large, with each piece's count.

    By creation, which never changes; where many records were created at one moment, by update.
    """
    largest = max(settings.split_above, -(-count // settings.chains))  # no more pieces than keep the chains busy
    pieces = [_Piece(window, count)]
    with ThreadPoolExecutor(settings.chains, thread_name_prefix="count") as pool:
        for name in ("timestamp_created", "timestamp_update"):
            pieces = list(pool.map(partial(_with_ends, client, collection, name, largest), pieces))
            while any(piece.can_be_cut(largest) for piece in pieces):
                cuts = pool.map(partial(_cut, client, collection, name, largest), pieces)
                pieces = [half for halves in cuts for half in halves]
    return [(piece.window, piece.count) for piece in pieces]


@dataclass(frozen=True)
class _Piece:
    """A window with its count, and between which moments its records lie, if it may be cut."""

    window: Window
    count: int
    ends: tuple[datetime, datetime] | None = None

    def can_be_cut(self, largest: int) -> bool:
        """Whether it is too large and spans more than one moment."""
        return self.count > largest and self.ends is not None and self.ends[1] - self.ends[0] > FINEST


def _with_ends(client: EuropeanaClient, collection: str, name: str, largest: int, piece: _Piece) -> _Piece:
    """The piece, with the first and the last moment of its records when it is too large."""
    if piece.count <= largest:
        return piece
    ends = client.bounds(collection, piece.window, name)
    return dataclasses.replace(piece, ends=(_moment(ends[0]), _moment(ends[1])) if ends else None)


def _cut(client: EuropeanaClient, collection: str, name: str, largest: int, piece: _Piece) -> list[_Piece]:
    """The non-empty halves of a piece; the piece itself, for good, when the counts of its halves do not add up."""
    if not piece.can_be_cut(largest) or piece.ends is None:
        return [piece]
    begin, end = piece.ends
    middle = begin + (end - begin) / 2
    windows = _two(piece.window, name, middle)
    counts = _adding_up(client, collection, piece, windows)
    if counts is None:
        return [dataclasses.replace(piece, ends=None)]
    halves = _Piece(windows[0], counts[0], (begin, middle)), _Piece(windows[1], counts[1], (middle, end))
    return [half for half in halves if half.count]


def _two(window: Window, name: str, at: datetime) -> tuple[Window, Window]:
    """The window before and after a moment; its outer bounds stay, so that no record is lost."""
    moment = solr_time(at)
    if name == "timestamp_created":
        before = dataclasses.replace(window, created_before=moment)
        return before, dataclasses.replace(window, created_from=moment)
    before = dataclasses.replace(window, updated_before=moment)
    return before, dataclasses.replace(window, updated_from=moment)


def _adding_up(
    client: EuropeanaClient, collection: str, whole: _Piece, halves: tuple[Window, Window]
) -> tuple[int, int] | None:
    """The counts of the two halves if they add up to the whole, else None.

    A few records may come or go between requests; a range that the server misunderstands is off by far more.
    """
    total = whole.count
    for _ in range(COUNTS):
        first, second = (client.count(collection, window) for window in halves)
        if first + second == total:
            return first, second
        total = client.count(collection, whole.window)
    return (first, second) if abs(first + second - total) <= max(10, total // 1000) else None


def solr_time(moment: datetime) -> str:
    """A point in time as Solr writes it, in milliseconds."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise HarvestError(f"Europeana gives {text!r} as a time, which is none.") from None
