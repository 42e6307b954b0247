"""A large collection cut into parts that are walked side by side, the parts' counts checked against the total."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.harvest.errors import HarvestError
from pipeline.harvest.europeana import EuropeanaClient, Window
from pipeline.settings import HarvestSettings

FINEST = timedelta(seconds=1)  # what was created within a second is not cut further
COUNTS = 3  # how often counts that do not add up are taken again: the index may change between two of them


@dataclass(frozen=True)
class Part:
    """What one chain walks: a window of a collection, from its beginning, up to `limit` records."""

    name: str
    window: Window
    count: int  # records found when the parts were planned
    limit: int | None = None


def plan_parts(client: EuropeanaClient, collection: str, window: Window, settings: HarvestSettings) -> list[Part]:
    """The parts of a collection, in a fixed order; one alone when it is small.

    Caps make parts that end early: with a cap on the collection it is one chain, with a cap on providers each that is
    above it is a part of its own.
    """
    total = client.count(collection, window)
    most = settings.max_records_per_collection
    if most is not None and total > most:
        return [Part("part-000", window, total, limit=most)]
    limited, rest = _by_large_provider(client, collection, window, settings)
    count = client.count(collection, rest) if limited else total
    windows = _halved(client, collection, rest, count, settings)
    limits = [None] * len(windows) + [settings.max_records_per_provider] * len(limited)
    return [
        Part(f"part-{number:03d}", part, found, limit)
        for number, ((part, found), limit) in enumerate(zip([*windows, *limited], limits, strict=True))
    ]


def _by_large_provider(
    client: EuropeanaClient, collection: str, window: Window, settings: HarvestSettings
) -> tuple[list[tuple[Window, int]], Window]:
    """A window for every data provider above the cap, and the one of all others."""
    most = settings.max_records_per_provider
    if most is None:
        return [], window
    counts = client.providers(collection, window)
    large = sorted(name for name, count in counts.items() if count > most)
    rest = dataclasses.replace(window, without_providers=tuple(large))
    return [(dataclasses.replace(window, provider=name), counts[name]) for name in large], rest


def _halved(
    client: EuropeanaClient, collection: str, window: Window, count: int, settings: HarvestSettings
) -> list[tuple[Window, int]]:
    """The window cut in time until no piece is above `split_above`, with each piece's count.

    By creation, which never changes; where many records were created at one moment, by update.
    """
    pieces = [(window, count)]
    for name in ("timestamp_created", "timestamp_update"):
        finer: list[tuple[Window, int]] = []
        for piece, found in pieces:
            ends = client.bounds(collection, piece, name) if found > settings.split_above else None
            if ends is None:
                finer.append((piece, found))
                continue
            begin, end = (_moment(text) for text in ends)
            finer += _cut(client, collection, _Piece(piece, found, begin, end), name, settings)
        pieces = finer
    return pieces


@dataclass(frozen=True)
class _Piece:
    """A window with its count, and between which moments its records lie."""

    window: Window
    count: int
    begin: datetime
    end: datetime


def _cut(
    client: EuropeanaClient, collection: str, piece: _Piece, name: str, settings: HarvestSettings
) -> list[tuple[Window, int]]:
    """The piece halved, and its halves again, until all are small; whole when the server does not cut as asked."""
    if piece.count <= settings.split_above or piece.end - piece.begin <= FINEST:
        return [(piece.window, piece.count)]
    middle = piece.begin + (piece.end - piece.begin) / 2
    windows = _two(piece.window, name, middle)
    counts = _adding_up(client, collection, piece, windows)
    if counts is None:
        return [(piece.window, piece.count)]
    halves = (
        _Piece(windows[0], counts[0], piece.begin, middle),
        _Piece(windows[1], counts[1], middle, piece.end),
    )
    return [part for half in halves if half.count for part in _cut(client, collection, half, name, settings)]


def _two(window: Window, name: str, at: datetime) -> tuple[Window, Window]:
    """Both sides of a moment; the outer ends stay as they are, so that nothing falls outside."""
    moment = solr_time(at)
    if name == "timestamp_created":
        before = dataclasses.replace(window, created_before=moment)
        return before, dataclasses.replace(window, created_from=moment)
    before = dataclasses.replace(window, updated_before=moment)
    return before, dataclasses.replace(window, updated_from=moment)


def _adding_up(
    client: EuropeanaClient, collection: str, whole: _Piece, halves: tuple[Window, Window]
) -> tuple[int, int] | None:
    """The counts of the two halves, once they add up to the whole; None when they never do.

    A few records may come or go while we count; ranges that the server does not understand are off by far more.
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
