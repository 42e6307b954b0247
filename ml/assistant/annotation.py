"""What an image's decisions add up to: a log of steps folded into tags accepted and rejected, kept consistent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ml.assistant.vocabulary import Vocabulary

Action = Literal["accept", "add", "reject", "withdraw"]
Stand = Literal["accepted", "rejected"]
STANDS: dict[str, Stand] = {"accept": "accepted", "add": "accepted", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Change:
    """One tag in one step: stated by the cataloguer, or following from what was stated (`because`, a tag id)."""

    tag_id: str
    action: Action
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One act of a cataloguer: a decision with what follows from it, or `undo` of an earlier step."""

    version: int
    kind: str  # decide, undo, done, reopen or skip
    changes: tuple[Change, ...] = ()
    undoes: int | None = None


def standing_steps(steps: Iterable[Step]) -> list[Step]:
    """The steps that count: neither undone nor undoing."""
    steps = list(steps)
    undone = {step.undoes for step in steps if step.kind == "undo"}
    return [step for step in steps if step.kind != "undo" and step.version not in undone]


def fold(steps: Iterable[Step]) -> dict[str, Stand]:
    """The tags as they stand after the steps, in the order they were decided."""
    stands: dict[str, Stand] = {}
    for step in standing_steps(steps):
        for change in step.changes:
            stands.pop(change.tag_id, None)
            if change.action != "withdraw":
                stands[change.tag_id] = STANDS[change.action]
    return stands


def decide(stands: Mapping[str, Stand], tag_id: str, action: Action, vocabulary: Vocabulary) -> tuple[Change, ...]:
    """The decision with what follows from it.

    A tag carries its ancestors: accepting one withdraws the rejection of any tag above it. Rejecting one rejects what
    is below it: acceptances there are withdrawn. The log holds both, so it reads the same when the thesaurus changes.
    """
    above = set(vocabulary.ancestors(tag_id)) if action in ("accept", "add") else set()
    follows = []
    for other, stand in stands.items():
        lifted = stand == "rejected" and other in above
        fallen = action == "reject" and stand == "accepted" and other in vocabulary
        if lifted or (fallen and tag_id in vocabulary.ancestors(other)):
            follows.append(Change(other, "withdraw", because=tag_id))
    return (Change(tag_id, action), *follows)


def implied(stands: Mapping[str, Stand], vocabulary: Vocabulary) -> list[str]:
    """The tags that hold because a tag below them was accepted, by id, without those accepted themselves."""
    found: set[str] = set()
    for tag_id, stand in stands.items():
        if stand == "accepted" and tag_id in vocabulary:
            found.update(vocabulary.ancestors(tag_id))
    return sorted(found - {tag for tag, stand in stands.items() if stand == "accepted"})


def last_to_undo(steps: Iterable[Step]) -> Step | None:
    """The latest step that an undo would take back."""
    standing = standing_steps(steps)
    return standing[-1] if standing else None
