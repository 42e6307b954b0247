"""What was asked of whom and what came of it, in one SQLite file: it survives a kill at any moment.

A row of `fetches` and the picture it brought are committed together, so neither is ever there without the other.
The pictures stay here so that shards can be written again in any order; the file may be deleted at the price of
fetching again.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    next_try REAL, etag TEXT, last_modified TEXT, content_sha256 TEXT, fetched_at REAL
) WITHOUT ROWID;
CREATE TABLE contents (
    sha256 TEXT PRIMARY KEY, width INTEGER, height INTEGER, perceptual_hash INTEGER, miniature BLOB, jpeg BLOB
);
"""
COMMIT_EVERY_S = 0.5
COMMIT_EVERY = 100


@dataclass(frozen=True)
class Fetch:
    """One URL and how fetching it went: a row of the `fetches` table."""

    url: str
    state: str  # fetched, unchanged, failed (try again) or rejected (for good)
    http_status: int | None = None
    reason: str | None = None
    attempts: int = 0
    next_try: float | None = None  # seconds since 1970
    etag: str | None = None
    last_modified: str | None = None
    content_sha256: str | None = None
    fetched_at: float | None = None  # seconds since 1970


class Ledger:
    """The file behind a fetch. `recipe` is everything that decides a stored picture's bytes."""

    def __init__(self, file: Path, recipe: dict[str, object]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, isolation_level=None)
        # WAL with NORMAL: a killed process loses at most what was not yet committed, never the file.
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + RECIPE)
        self.recipe = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        self._start_anew_if_other(self.recipe)
        self._waiting = 0
        self._committed = time.monotonic()

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._database.close()

    def record(self, fetch: Fetch, picture: Picture | None = None) -> None:
        """Keep the outcome of one URL and the picture it brought."""
        if not self._database.in_transaction:
            self._database.execute("BEGIN")
        if picture is not None and fetch.content_sha256 is not None:
            self._keep(fetch.content_sha256, picture)
        self._database.execute(
            "INSERT OR REPLACE INTO fetches VALUES (?,?,?,?,?,?,?,?,?,?)", tuple(vars(fetch).values())
        )
        self._waiting += 1
        if self._waiting >= COMMIT_EVERY or time.monotonic() - self._committed > COMMIT_EVERY_S:
            self.commit()

    def commit(self) -> None:
        """Make everything recorded so far survive."""
        if self._database.in_transaction:
            self._database.execute("COMMIT")
        self._waiting, self._committed = 0, time.monotonic()

    def fetch(self, url: str) -> Fetch | None:
        """What is known of one URL."""
        row = self._database.execute("SELECT * FROM fetches WHERE url = ?", (url,)).fetchone()
        return None if row is None else Fetch(*row)

    def has_picture(self, sha256: str) -> bool:
        """Whether these bytes were verified before."""
        return self._database.execute("SELECT 1 FROM contents WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def states(self) -> pl.DataFrame:
        """Columns url, state, reason, next_try, content_sha256 of every URL."""
        rows = self._database.execute("SELECT url, state, reason, next_try, content_sha256 FROM fetches").fetchall()
        schema = {"url": pl.String, "state": pl.String, "reason": pl.String, "next_try": pl.Float64}
        return pl.DataFrame(rows, schema={**schema, "content_sha256": pl.String}, orient="row")

    def sizes(self) -> pl.DataFrame:
        """Columns content_sha256 and size (bytes of the stored JPEG) of every usable picture."""
        rows = self._database.execute("SELECT sha256, length(jpeg) FROM contents").fetchall()
        return pl.DataFrame(rows, schema={"content_sha256": pl.String, "size": pl.Int64}, orient="row")

    def pictures(self, sha256s: Sequence[str]) -> Iterator[Picture]:
        """The stored pictures, in the order asked."""
        for sha256 in sha256s:
            row = self._database.execute(
                "SELECT jpeg, width, height, perceptual_hash, miniature FROM contents WHERE sha256 = ?", (sha256,)
            ).fetchone()
            yield Picture(row[0], row[1], row[2], row[3] & 0xFFFF_FFFF_FFFF_FFFF, row[4])

    def take_down(self, urls: Iterable[str]) -> None:
        """Reject the URLs for good, and forget every picture that only they brought."""
        self.commit()
        self._database.execute("BEGIN")
        for url in urls:
            self._database.execute(
                "INSERT OR REPLACE INTO fetches (url, state, reason, attempts) VALUES (?, 'rejected', 'taken_down', 0)",
                (url,),
            )
        self._database.execute(
            "DELETE FROM contents WHERE sha256 NOT IN"
            " (SELECT content_sha256 FROM fetches WHERE content_sha256 IS NOT NULL)"
        )
        self._database.execute("COMMIT")

    def put_back(self) -> None:
        """Forget earlier take-downs: the list of today decides."""
        self._database.execute("DELETE FROM fetches WHERE reason = 'taken_down'")

    def table(self) -> pl.DataFrame:
        """Everything known, as the `fetches` table."""
        rows = self._database.execute("SELECT * FROM fetches ORDER BY url").fetchall()
        frame = pl.DataFrame(
            rows,
            schema={
                "url": pl.String,
                "state": pl.String,
                "http_status": pl.Int32,
                "reason": pl.String,
                "attempts": pl.Int32,
                "next_try": pl.Float64,
                "etag": pl.String,
                "last_modified": pl.String,
                "content_sha256": pl.String,
                "fetched_at": pl.Float64,
            },
            orient="row",
        )
        moments = [
            (pl.col(name) * 1_000_000).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
            for name in ("next_try", "fetched_at")
        ]
        return frame.with_columns(moments).select(FETCHES.schema.names)

    def _keep(self, sha256: str, picture: Picture) -> None:
        signed = picture.perceptual_hash - (1 << 64 if picture.perceptual_hash >> 63 else 0)  # SQLite's are signed
        self._database.execute(
            "INSERT OR IGNORE INTO contents VALUES (?,?,?,?,?,?)",
            (sha256, picture.width, picture.height, signed, picture.miniature, picture.jpeg),
        )

    def _start_anew_if_other(self, recipe: str) -> None:
        """Pictures made to another recipe are fetched again: the bytes they came from are not kept."""
        known = self._database.execute("SELECT recipe FROM recipe").fetchone()
        if known == (recipe,):
            return
        self._database.executescript(START_ANEW)
        self._database.execute("INSERT INTO recipe VALUES (?)", (recipe,))
        self._database.execute("COMMIT")
