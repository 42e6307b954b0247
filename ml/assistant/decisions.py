"""Cataloguers' decisions as a table: accepted tags and verified negatives for the next training run."""

import polars as pl
import sqlalchemy as sa

from ml.assistant.annotation import STANDS, fold, standing_steps
from ml.assistant.schema import decisions, images, steps
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
            row
            for image in store.queue(limit=2**31 - 1)
            for row in _standing(store, image)
            if not finished_only or image.state == "done"
        ]
    finally:
        store.close()
    return CATALOGUER_DECISIONS.frame(sorted(rows, key=lambda row: str(row["decision_id"])))


def _standing(store: Store, image: sa.Row) -> list[dict[str, object]]:
    counted = standing_steps(line.step for line in store.log(image.image_id))
    stands = fold(counted)
    if not stands:
        return []
    query = (
        sa.select(decisions, steps.c.who, steps.c.at, steps.c.clicks, images.c.record_id)
        .join(steps, (steps.c.image_id == decisions.c.image_id) & (steps.c.version == decisions.c.version))
        .join(images, images.c.image_id == decisions.c.image_id)
        .where(decisions.c.image_id == image.image_id, decisions.c.action != "withdraw")
        .order_by(decisions.c.version, decisions.c.position)
    )
    with store.engine.connect() as connection:
        lines = connection.execute(query).all()
    # The latest line that says what stands now is the decision that counts.
    versions = {step.version for step in counted}
    last = {line.tag_id: line for line in lines if line.version in versions and line.tag_id in stands}
    return [_row(line) for line in last.values()]


def _row(line: sa.Row) -> dict[str, object]:
    return {
        "decision_id": line.decision_id,
        "record_id": line.record_id,
        "image_id": line.image_id,
        "tag_id": line.tag_id,
        "accepted": STANDS[line.action] == "accepted",
        "who": line.who,
        "at": line.at,
        "model": line.model,
        "score": line.score,
        "rank": line.rank,
        "clicks": line.clicks,
    }
