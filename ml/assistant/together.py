"""Decisions on many images at once: each is a step of its own in the log of its image, with its own consequences."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from ml.assistant.annotation import Action, Verdict, fold, implied, steps_of
from ml.assistant.schema import decisions, steps
from ml.assistant.store import Act, Annotation, Conflict, NoSuchImage, NothingToUndo, Store
from ml.assistant.vocabulary import Vocabulary

DECIDED: dict[Action, Verdict] = {"accept": "accepted", "reject": "rejected"}


@dataclass
class Outcome:
    """What became of each image: the version that it has now, nothing to do, or why nothing was saved."""

    saved: dict[str, int] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    problems: dict[str, Exception] = field(default_factory=dict)


def decide_together(
    store: Store, versions: dict[str, int], tag_id: str, action: Action, act: Act, vocabulary: Vocabulary
) -> Outcome:
    """Accept or reject a tag on every image, each from the version that the client saw.

    An image that has the decision already stays as it is. One that somebody else has changed is a problem of its own;
    the others are saved.
    """
    verdicts = verdicts_of(store, versions)
    decided = [image_id for image_id in versions if verdicts[image_id].get(tag_id) == DECIDED[action]]

    def run(image_id: str, own: Act) -> Annotation:
        return store.decide(image_id, tag_id, action, own, vocabulary)

    return _each(versions, act, run, Outcome(unchanged=decided))


def undo_together(store: Store, versions: dict[str, int], act: Act) -> Outcome:
    """Take back the latest step of every image, where it still has the version that this step gave it."""
    return _each(versions, act, store.undo, Outcome())


def _each(versions: dict[str, int], act: Act, run: Callable[[str, Act], Annotation], outcome: Outcome) -> Outcome:
    for number, (image_id, version) in enumerate(versions.items()):
        if image_id in outcome.unchanged:
            continue
        # Clicks count once. A repeated request has the same keys, so that each step counts once too.
        own = replace(act, version=version, key=f"{act.key}-{number}", clicks=act.clicks if number == 0 else 0)
        try:
            outcome.saved[image_id] = run(image_id, own).version
        except (Conflict, NoSuchImage, NothingToUndo, OperationalError) as error:
            outcome.problems[image_id] = error
    return outcome


def verdicts_of(store: Store, image_ids: Iterable[str]) -> dict[str, dict[str, Verdict]]:
    """The current verdicts on the tags of each image."""
    wanted = list(image_ids)
    rows: defaultdict[str, list[sa.Row]] = defaultdict(list)
    lines: defaultdict[str, list[sa.Row]] = defaultdict(list)
    with store.engine.connect() as connection:
        for row in connection.execute(sa.select(steps).where(steps.c.image_id.in_(wanted)).order_by(steps.c.version)):
            rows[row.image_id].append(row)
        query = sa.select(decisions).where(decisions.c.image_id.in_(wanted)).order_by(decisions.c.decision_id)
        for line in connection.execute(query):
            lines[line.image_id].append(line)
    return {image_id: fold(steps_of(rows[image_id], lines[image_id])) for image_id in wanted}


def state_of_tag(verdicts: dict[str, Verdict], tag_id: str, vocabulary: Vocabulary) -> str | None:
    """What holds for a tag on an image: accepted, rejected, implied by one below it, excluded by one above; or None."""
    if tag_id in verdicts:
        return verdicts[tag_id]
    if tag_id in implied(verdicts, vocabulary):
        return "implied"
    above: Sequence[str] = vocabulary.ancestors(tag_id)
    return "excluded" if any(verdicts.get(each) == "rejected" for each in above) else None
