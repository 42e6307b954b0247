"""The decisions on an image that count now, with who made them and what was shown."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from ml.assistant.annotation import VERDICTS, current_steps, fold, steps_of
from ml.assistant.schema import decisions, steps
from ml.assistant.store import Store


@dataclass(frozen=True)
class Decision:
    """A current decision: not undone, not withdrawn, and the latest on its tag."""

    decision_id: str
    tag_id: str
    accepted: bool
    who: str
    at: datetime
    clicks: int
    model: str | None
    score: float | None
    rank: int | None


def current_decisions(store: Store, image_ids: Collection[str] | None = None) -> dict[str, list[Decision]]:
    """The current decisions on these images or on every image that has a step, in the order they were made."""
    wanted = sa.true() if image_ids is None else steps.c.image_id.in_(image_ids)
    same_step = (steps.c.image_id == decisions.c.image_id) & (steps.c.version == decisions.c.version)
    joined = sa.select(decisions, steps.c.who, steps.c.at, steps.c.clicks).join(steps, same_step).where(wanted)
    rows: defaultdict[str, list[sa.Row]] = defaultdict(list)
    lines: defaultdict[str, list[sa.Row]] = defaultdict(list)
    with store.engine.connect() as connection:
        for row in connection.execute(sa.select(steps).where(wanted).order_by(steps.c.image_id, steps.c.version)):
            rows[row.image_id].append(row)
        for line in connection.execute(joined.order_by(decisions.c.decision_id)):
            lines[line.image_id].append(line)
    return {image: _of_image(of_image, lines[image]) for image, of_image in rows.items()}


def _of_image(rows: Sequence[sa.Row], lines: Sequence[sa.Row]) -> list[Decision]:
    """The current decisions by id; `lines` are the image's decisions in the order they were made."""
    counted = current_steps(steps_of(rows, lines))
    verdicts, versions = fold(counted), {step.version for step in counted}
    in_effect = [line for line in lines if line.version in versions and line.action != "withdraw"]
    last = {line.tag_id: line for line in in_effect if line.tag_id in verdicts}
    names = ("decision_id", "tag_id", "who", "at", "clicks", "model", "score", "rank")
    decisions = [
        Decision(accepted=VERDICTS[line.action] == "accepted", **{name: line._mapping[name] for name in names})
        for line in last.values()
    ]
    return sorted(decisions, key=lambda decision: decision.decision_id)
