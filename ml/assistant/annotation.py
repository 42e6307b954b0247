"""The decisions on an image: a log of steps, and the accepted and rejected tags that follow from it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ml.assistant.vocabulary import Vocabulary

Action = Literal["accept", "add", "reject", "withdraw"]
Verdict = Literal["accepted", "rejected"]
VERDICTS: dict[str, Verdict] = {"accept": "accepted", "add": "accepted", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Change:
    """One tag in one step: decided by the cataloguer, or a consequence of the decision on the tag `because`."""

    tag_id: str
    action: Action
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a cataloguer: a decision with its consequences, or `undo` of an earlier step."""

    version: int
    kind: str  # decide, undo, done, reopen or skip
    changes: tuple[Change, ...] = ()
    undoes: int | None = None


def steps_of(rows: Iterable[Any], lines: Iterable[Any]) -> list[Step]:
    """The steps of one image, from its rows in the tables `steps` and `decisions`."""
    changes: defaultdict[int, list[Change]] = defaultdict(list)
    for line in lines:
        changes[line.version].append(Change(line.tag_id, line.action, line.because))
    return [Step(row.version, row.kind, tuple(changes[row.version]), row.undoes) for row in rows]


def current_steps(steps: Iterable[Step]) -> list[Step]:
    """The steps in effect: those that were not undone, without the undo steps."""
    steps = list(steps)
    undone = {step.undoes for step in steps if step.kind == "undo"}
    return [step for step in steps if step.kind != "undo" and step.version not in undone]


def fold(steps: Iterable[Step]) -> dict[str, Verdict]:
    """The verdict on every decided tag after the steps, in the order of the decisions."""
    verdicts: dict[str, Verdict] = {}
    for step in current_steps(steps):
        for change in step.changes:
            verdicts.pop(change.tag_id, None)
            if change.action != "withdraw":
                verdicts[change.tag_id] = VERDICTS[change.action]
    return verdicts


def decide(verdicts: Mapping[str, Verdict], tag_id: str, action: Action, vocabulary: Vocabulary) -> tuple[Change, ...]:
    """A decision with its consequences.

    An accepted tag implies its ancestors: accepting it withdraws rejections above it. A rejected tag excludes its
    descendants: rejecting it withdraws acceptances below it. The consequences are logged too, so that a log keeps its
    meaning when the thesaurus changes.
    """
    above = set(vocabulary.ancestors(tag_id)) if action in ("accept", "add") else set()
    consequences = []
    for other, verdict in verdicts.items():
        lifted = verdict == "rejected" and other in above
        may_fall = action == "reject" and verdict == "accepted" and other in vocabulary
        if lifted or (may_fall and tag_id in vocabulary.ancestors(other)):
            consequences.append(Change(other, "withdraw", because=tag_id))
    return (Change(tag_id, action), *consequences)


def implied(verdicts: Mapping[str, Verdict], vocabulary: Vocabulary) -> list[str]:
    """The ancestors of the accepted tags by id, without those that are accepted themselves."""
    accepted = [tag_id for tag_id, verdict in verdicts.items() if verdict == "accepted"]
    above = {tag for tag_id in accepted if tag_id in vocabulary for tag in vocabulary.ancestors(tag_id)}
    return sorted(above - set(accepted))


def last_to_undo(steps: Iterable[Step]) -> Step | None:
    """The step that an undo would take back: the latest one in effect."""
    current = current_steps(steps)
    return current[-1] if current else None
