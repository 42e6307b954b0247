"""The decisions on an image that count now, each with its circumstances."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ml.assistant.annotation import STANDS, Change, Step, fold, standing_steps
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
    """The decisions on an image that stand, in the order they were made."""
    return _standing(store, steps.c.image_id == image_id).get(image_id, [])


def all_standing_decisions(store: Store) -> dict[str, list[Decision]]:
    """The same for every image that was decided on, by two reads of the store."""
    return _standing(store, sa.true())


def _standing(store: Store, wanted: sa.ColumnElement[bool]) -> dict[str, list[Decision]]:
    of_image = (steps.c.image_id == decisions.c.image_id) & (steps.c.version == decisions.c.version)
    stated = sa.select(decisions, steps.c.who, steps.c.at, steps.c.clicks).join(steps, of_image).where(wanted)
    with store.engine.connect() as connection:
        taken = connection.execute(sa.select(steps).where(wanted).order_by(steps.c.image_id, steps.c.version)).all()
        lines = connection.execute(stated.order_by(decisions.c.decision_id)).all()
    of_steps: dict[str, list[sa.Row]] = {}
    for row in taken:
        of_steps.setdefault(row.image_id, []).append(row)
    of_lines: dict[str, list[sa.Row]] = {}
    for line in lines:
        of_lines.setdefault(line.image_id, []).append(line)
    return {image_id: _of_image(rows, of_lines.get(image_id, [])) for image_id, rows in of_steps.items()}


def _of_image(rows: Iterable[sa.Row], lines: list[sa.Row]) -> list[Decision]:
    """`lines` are the image's decisions by id, which is their order."""
    changes: dict[int, list[Change]] = {}
    for line in lines:
        changes.setdefault(line.version, []).append(Change(line.tag_id, line.action, line.because))
    counted = standing_steps(Step(r.version, r.kind, tuple(changes.get(r.version, ())), r.undoes) for r in rows)
    stands, versions = fold(counted), {step.version for step in counted}
    last = {
        line.tag_id: line
        for line in lines
        if line.action != "withdraw" and line.version in versions and line.tag_id in stands
    }
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
