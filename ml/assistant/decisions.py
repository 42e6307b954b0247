"""Cataloguers' decisions as a table: accepted tags and verified negatives for the next training run."""

from dataclasses import asdict

import polars as pl

from ml.assistant.standing import standing_decisions
from ml.assistant.store import Store
from pipeline.tables import CATALOGUER_DECISIONS


def read_decisions(database: str, *, finished_only: bool = False) -> pl.DataFrame:
    """The decisions that stand in the assistant's store, one a row (CATALOGUER_DECISIONS).

    Undone and withdrawn decisions are left out; a tag decided twice counts as it was decided last. What follows from
    a decision by the thesaurus (ancestors of an accepted tag, descendants of a rejected one) is not written here.
    `database` is SQLAlchemy's URL. With `finished_only`, only images that a cataloguer marked as done.
    """
    store = Store(database)
    try:
        rows = [
            asdict(decision) | {"image_id": image.image_id, "record_id": image.record_id}
            for image in store.queue(limit=2**31 - 1)
            if image.state == "done" or not finished_only
            for decision in standing_decisions(store, image.image_id)
        ]
    finally:
        store.close()
    return CATALOGUER_DECISIONS.frame(rows).sort("decision_id")
