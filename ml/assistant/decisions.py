"""Cataloguers' decisions as a table: accepted tags and verified negatives for the next training."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from ml.assistant.current_decisions import current_decisions
from ml.assistant.schema import steps
from ml.assistant.store import Store, sqlite_file
from pipeline.tables import CATALOGUER_DECISIONS

DATABASE = "ASSISTANT_DATABASE"  # environment variable with SQLAlchemy's URL, which may contain a password


def database_of(storage: Path) -> str:
    """The URL of the assistant's database: from the environment, otherwise the SQLite file of this storage folder."""
    return os.environ.get(DATABASE) or f"sqlite:///{storage / 'assistant' / 'assistant.sqlite'}"


def read_decisions(database: str, *, finished_only: bool = False) -> pl.DataFrame:
    """The current decisions in the assistant's database, one per row (CATALOGUER_DECISIONS).

    Undone and withdrawn decisions are left out; only the last decision on a tag counts. The consequences of a decision
    (ancestors of an accepted tag, descendants of a rejected one) are not included. With `finished_only`, only images
    marked as done are read. The table is empty if there is no database yet.
    """
    with _opened(database) as store:
        if store is None:
            return CATALOGUER_DECISIONS.empty()
        decisions = current_decisions(store)
        rows = [
            asdict(decision) | {"image_id": image.image_id, "record_id": image.record_id}
            for image in store.queue()
            if image.state == "done" or not finished_only
            for decision in decisions.get(image.image_id, ())
        ]
    return CATALOGUER_DECISIONS.frame(rows).sort("decision_id")


def state_of(database: str) -> str:
    """A text that changes with every step: the number of steps, and the time of the last one."""
    with _opened(database) as store:
        if store is None:
            return "no store"
        with store.engine.connect() as connection:
            count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(steps.c.at))).one()
    return f"{count} steps until {last}"


@contextmanager
def _opened(database: str) -> Iterator[Store | None]:
    """The store; None if its SQLite file does not exist. Raises StoreError if the database cannot be opened."""
    file = sqlite_file(database)
    if file is not None and not file.exists():
        yield None
        return
    with closing(Store(database)) as store:
        yield store
