"""The decisions on an image that count now, each with its circumstances."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ml.assistant.annotation import STANDS, fold, standing_steps
from ml.assistant.schema import decisions, steps
from ml.assistant.store import Store


@dataclass(frozen=True)
class Decision:
    """A decision that stands: neither undone nor withdrawn, and the latest on its tag."""

    decision_id: str
    tag_id: str
    accepted: bool
    who: str
    at: datetime
    clicks: int
    model: str | None
    score: float | None
    rank: int | None


def standing_decisions(store: Store, image_id: str) -> list[Decision]:
    """The decisions that stand, in the order they were made."""
    counted = standing_steps(line.step for line in store.log(image_id))
    stands = fold(counted)
    if not stands:
        return []
    query = (
        sa.select(decisions, steps.c.who, steps.c.at, steps.c.clicks)
        .join(steps, (steps.c.image_id == decisions.c.image_id) & (steps.c.version == decisions.c.version))
        .where(decisions.c.image_id == image_id, decisions.c.action != "withdraw")
        .order_by(decisions.c.version, decisions.c.position)
    )
    with store.engine.connect() as connection:
        lines = connection.execute(query).all()
    versions = {step.version for step in counted}
    last = {line.tag_id: line for line in lines if line.version in versions and line.tag_id in stands}
    return sorted((_decision(line) for line in last.values()), key=lambda decision: decision.decision_id)


def _decision(line: sa.Row) -> Decision:
    return Decision(
        line.decision_id,
        line.tag_id,
        STANDS[line.action] == "accepted",
        line.who,
        line.at,
        line.clicks,
        line.model,
        line.score,
        line.rank,
    )
