"""Cataloguers' decisions as a table: accepted tags and verified negatives for the next training."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from ml.assistant.agreement import agreement_of
from ml.assistant.opinions import Conflict, people_of, read_conflicts, read_ratings
from ml.assistant.schema import settlements, steps
from ml.assistant.settled import SecondOpinions, counted_decisions
from ml.assistant.store import Store, sqlite_file
from pipeline.tables import CATALOGUER_DECISIONS

CONFLICTS = dict.fromkeys(("image_id", "tag_id", "facet"), pl.String) | {"first": pl.Boolean, "second": pl.Boolean}
CONFLICTS |= {"first_by": pl.String, "second_by": pl.String, "settled": pl.Boolean, "settled_by": pl.String}
DATABASE = "ASSISTANT_DATABASE"  # environment variable with SQLAlchemy's URL, which may contain a password


def database_of(storage: Path) -> str:
    """The URL of the assistant's database: from the environment, otherwise the SQLite file of this storage folder."""
    return os.environ.get(DATABASE) or f"sqlite:///{storage / 'assistant' / 'assistant.sqlite'}"


def read_decisions(
    database: str, *, finished_only: bool = False, second_opinions: SecondOpinions = "settled"
) -> pl.DataFrame:
    """The current decisions in the assistant's database, one per row (CATALOGUER_DECISIONS).

    Undone and withdrawn decisions are left out; only the last decision on a tag counts. The consequences of a decision
    (ancestors of an accepted tag, descendants of a rejected one) are not included. With `finished_only`, only images
    marked as done are read. `second_opinions` is the rule for images on which two people decided. The table is empty if
    there is no database yet.
    """
    with _opened(database) as store:
        if store is None:
            return CATALOGUER_DECISIONS.empty()
        decisions = counted_decisions(store, rule=second_opinions)
        rows = [
            asdict(decision) | {"image_id": image.image_id, "record_id": image.record_id}
            for image in store.queue()
            if image.state == "done" or not finished_only
            for decision in decisions.get(image.image_id, ())
        ]
    return CATALOGUER_DECISIONS.frame(rows).sort("decision_id")


def state_of(database: str) -> str:
    """A text that changes with every step and settlement: how many there are, and the time of the last step."""
    with _opened(database) as store:
        if store is None:
            return "no store"
        with store.engine.connect() as connection:
            count, last = connection.execute(sa.select(sa.func.count(), sa.func.max(steps.c.at))).one()
            settled = connection.execute(sa.select(sa.func.count()).select_from(settlements)).scalar()
    return f"{count} steps until {last}" + (f", {settled} settled" if settled else "")


def read_agreement(database: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How far first and second opinions agree, and the tags on which they differ, with what a reviewer settled."""
    with _opened(database) as store:
        if store is None:
            return agreement_of([]), pl.DataFrame(schema=CONFLICTS)
        conflicts = read_conflicts(store)
        people = people_of(store, sorted({each.rating.second_id for each in conflicts}))
        rows = [_conflict(each, *people[each.rating.second_id]) for each in conflicts]
        return agreement_of(read_ratings(store)), pl.DataFrame(rows, schema=CONFLICTS)


def _conflict(conflict: Conflict, first_by: str, second_by: str) -> dict[str, object]:
    rating, settled = conflict.rating, conflict.settled
    verdict = None if settled is None else settled.accepted
    return {
        "image_id": rating.image_id,
        "tag_id": rating.tag_id,
        "facet": rating.facet,
        "first": rating.first,
        "second": rating.second,
        "first_by": first_by,
        "second_by": second_by,
        "settled": verdict,
        "settled_by": None if settled is None else settled.who,
    }


@contextmanager
def _opened(database: str) -> Iterator[Store | None]:
    """The store; None if its SQLite file does not exist. Raises StoreError if the database cannot be opened."""
    file = sqlite_file(database)
    if file is not None and not file.exists():
        yield None
        return
    with closing(Store(database)) as store:
        yield store
