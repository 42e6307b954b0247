"""Every URL and the outcome of fetching it, with the pictures, in one SQLite file that survives a kill at any moment.

A row of `fetches` and its picture are committed together, so neither exists without the other. The pictures stay here
so that shards can be rewritten in any order; if the file is deleted, everything is fetched again.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.images.verify import Picture
from pipeline.tables import FETCHES

RECIPE = "CREATE TABLE IF NOT EXISTS recipe (recipe TEXT PRIMARY KEY)"
START_ANEW = """
BEGIN;
DELETE FROM recipe;
DROP TABLE IF EXISTS fetches;
DROP TABLE IF EXISTS contents;
CREATE TABLE fetches (
    url TEXT PRIMARY KEY, state TEXT NOT NULL, http_status INTEGER, reason TEXT, attempts INTEGER NOT NULL,
    next_try REAL, etag TEXT, last_modified TEXT, content_sha256 TEXT, fetched_at REAL, rules INTEGER
) WITHOUT ROWID;
CREATE TABLE contents (
    sha256 TEXT PRIMARY KEY, width INTEGER, height INTEGER, perceptual_hash INTEGER, miniature BLOB, jpeg BLOB
);
"""
COMMIT_EVERY_S = 0.5
COMMIT_EVERY = 100


@dataclass(frozen=True)
class Fetch:
    """One URL and the outcome of fetching it: a row of the `fetches` table."""

    url: str
    state: str  # fetched, unchanged, failed (to be tried again) or rejected (for good)
    http_status: int | None = None
    reason: str | None = None
    attempts: int = 0
    next_try: float | None = None  # seconds since 1970
    etag: str | None = None
    last_modified: str | None = None
    content_sha256: str | None = None
    fetched_at: float | None = None  # seconds since 1970
    rules: int | None = None  # REFUSAL_RULES when the answer was rejected


class Ledger:
    """The file behind a fetch. `recipe` holds everything that determines the bytes of a stored picture."""

    def __init__(self, file: Path, recipe: dict[str, object]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, isolation_level=None)
        # With WAL and NORMAL a killed process loses at most what was not yet committed, never the file.
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + RECIPE)
        self.recipe = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        if self._database.execute("SELECT recipe FROM recipe").fetchone() != (self.recipe,):
            # pictures of another recipe are fetched again: the bytes they were made from are not kept
            self._database.executescript(START_ANEW)
            self._database.execute("INSERT INTO recipe VALUES (?)", (self.recipe,))
            self._database.execute("COMMIT")
        self._waiting = 0
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._database.close()

    def record(self, fetch: Fetch, picture: Picture | None = None) -> None:
        """Stores the outcome of one URL and its picture."""
        if not self._database.in_transaction:
            self._database.execute("BEGIN")
        if picture is not None and fetch.content_sha256 is not None:
            signed = picture.perceptual_hash - (1 << 64 if picture.perceptual_hash >> 63 else 0)  # as SQLite's integers
            self._database.execute(
                "INSERT OR IGNORE INTO contents VALUES (?,?,?,?,?,?)",
                (fetch.content_sha256, picture.width, picture.height, signed, picture.miniature, picture.jpeg),
            )
        self._database.execute("INSERT OR REPLACE INTO fetches VALUES (?,?,?,?,?,?,?,?,?,?,?)", astuple(fetch))
        self._waiting += 1
        if self._waiting >= COMMIT_EVERY or time.monotonic() - self._committed > COMMIT_EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Writes everything recorded so far to disk."""
        if self._database.in_transaction:
            self._database.execute("COMMIT")
        self._waiting, self._committed = 0, time.monotonic()

    def fetch(self, url: str) -> Fetch | None:
        """The outcome of one URL, if it is known."""
        row = self._database.execute("SELECT * FROM fetches WHERE url = ?", (url,)).fetchone()
        return None if row is None else Fetch(*row)

    def has_picture(self, sha256: str) -> bool:
        """Whether these bytes were verified before."""
        return self._database.execute("SELECT 1 FROM contents WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def states(self) -> pl.DataFrame:
        """Columns url, state, next_try, rules, content_sha256 of every URL."""
        schema = {"url": pl.String, "state": pl.String, "next_try": pl.Float64, "rules": pl.Int64}
        return self._frame(
            "SELECT url, state, next_try, rules, content_sha256 FROM fetches", schema | {"content_sha256": pl.String}
        )

    def sizes(self) -> pl.DataFrame:
        """Columns content_sha256 and size (bytes of the stored JPEG) of every usable picture."""
        schema = {"content_sha256": pl.String, "size": pl.Int64}
        return self._frame("SELECT sha256, length(jpeg) FROM contents", schema)

    def table(self) -> pl.DataFrame:
        """All outcomes, as the `fetches` table."""
        schema = FETCHES.empty().schema
        times = [name for name, kind in schema.items() if kind.is_temporal()]
        frame = self._frame("SELECT * FROM fetches ORDER BY url", {**schema, **dict.fromkeys(times, pl.Float64)})
        return frame.with_columns((pl.col(times) * 1_000_000).cast(pl.Int64).cast(pl.Datetime("us", "UTC")))

    def _frame(self, query: str, schema: Mapping[str, Any]) -> pl.DataFrame:
        return pl.DataFrame(self._database.execute(query).fetchall(), schema=schema, orient="row")

    def pictures(self, sha256s: Sequence[str]) -> Iterator[Picture]:
        """The stored pictures, in the given order."""
        for sha256 in sha256s:
            row = self._database.execute(
                "SELECT jpeg, width, height, perceptual_hash, miniature FROM contents WHERE sha256 = ?", (sha256,)
            ).fetchone()
            yield Picture(row[0], row[1], row[2], row[3] & 0xFFFF_FFFF_FFFF_FFFF, row[4])

    def take_down(self, urls: Iterable[str]) -> None:
        """Rejects the URLs for good and deletes every picture that no other URL has."""
        self.commit()
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT OR REPLACE INTO fetches (url, state, reason, attempts) VALUES (?, 'rejected', 'taken_down', 0)",
            [(url,) for url in urls],
        )
        self._database.execute(
            "DELETE FROM contents WHERE sha256 NOT IN"
            " (SELECT content_sha256 FROM fetches WHERE content_sha256 IS NOT NULL)"
        )
        self._database.execute("COMMIT")

    def put_back(self) -> None:
        """Deletes earlier take-downs: only the current list counts."""
        self._database.execute("DELETE FROM fetches WHERE reason = 'taken_down'")
