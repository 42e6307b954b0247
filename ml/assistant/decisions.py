"""Cataloguers' decisions as a table: accepted tags and verified negatives for the next training run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from ml.assistant.current_decisions import all_standing_decisions
from ml.assistant.schema import steps
from ml.assistant.store import Store, StoreError
from pipeline.tables import CATALOGUER_DECISIONS

DATABASE = "ASSISTANT_DATABASE"  # SQLAlchemy's URL in the environment, because it may hold a password


def database_of(storage: Path) -> str:
    """The URL of the assistant's store: the one in the environment, else the SQLite file of this storage folder."""
    return os.environ.get(DATABASE) or f"sqlite:///{storage / 'assistant' / 'assistant.sqlite'}"


def read_decisions(database: str, *, finished_only: bool = False) -> pl.DataFrame:
    """The decisions that stand in the assistant's store, one a row (CATALOGUER_DECISIONS).

    Undone and withdrawn decisions are left out; a tag decided twice counts as it was decided last. What follows from
    a decision by the thesaurus (ancestors of an accepted tag, descendants of a rejected one) is not written here.
    With `finished_only`, only images that a cataloguer marked as done. No rows where there is no store yet.
    """
    with _opened(database) as store:
        if store is None:
            return CATALOGUER_DECISIONS.empty()
        found = all_standing_decisions(store)
        rows = [
            asdict(decision) | {"image_id": image.image_id, "record_id": image.record_id}
            for image in store.queue(limit=2**31 - 1)
            if image.state == "done" or not finished_only
            for decision in found.get(image.image_id, ())
        ]
    return CATALOGUER_DECISIONS.frame(rows).sort("decision_id")


def state_of(database: str) -> str:
    """A word that changes with every step taken in the store, which only ever grows."""
    with _opened(database) as store:
        if store is None:
            return "no store"
        with store.engine.connect() as connection:
            count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(steps.c.at))).one()
    return f"{count} steps until {last}"


@contextmanager
def _opened(database: str) -> Iterator[Store | None]:
    """The store; None where its SQLite file is not there. Raises StoreError where no database answers."""
    url = sa.make_url(database)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        yield None
        return
    try:
        store = Store(database)
    except sa.exc.OperationalError as error:
        where = url.render_as_string(hide_password=True)
        raise StoreError(f"The assistant's database {where} does not answer: {error.orig}") from error
    try:
        yield store
    finally:
        store.close()
