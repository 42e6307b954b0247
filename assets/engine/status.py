"""What a run would make anew, and why: each step's note is compared with what the step depends on today."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assets.engine.notes import Made
from assets.engine.plan import Step, part_of
from assets.engine.project import Project

FILE = re.compile(r"[^/]*:(?:[0-9a-f]{64}|missing)")  # a file in a fingerprint (`pipeline.contents.by_content`)
SHOWN = 60  # characters of a setting's value
SHOWN_NAMES = 4  # of the tables that a step reads
OLDER = "it was stored by an older version, which noted nothing of what it was made from"


@dataclass(frozen=True)
class Due:
    """What a step would make anew, why, and how long it took last time and at most; None where that is not noted.

    `because_of_code`: its code, or that of something it is made from, has changed.
    """

    names: tuple[str, ...]
    stage: str
    reasons: tuple[str, ...]
    because_of_code: bool
    seconds: float | None
    longest: float | None


def due(steps: Sequence[Step], project: Project) -> list[Due]:
    """The steps that would run, in order. What they make may turn out equal, and then nothing follows from it."""
    found: list[Due] = []
    for step in steps:
        stale = {name for one in found for name in one.names}
        by_code = {name for one in found if one.because_of_code for name in one.names}
        if one := _due(step, project, stale):
            follows = bool(by_code & {*step.plan.reads, *step.plan.after})
            found.append(replace(one, because_of_code=one.because_of_code or follows))
    return found


def _due(step: Step, project: Project, stale: set[str]) -> Due | None:
    plan, config = step.plan, step.config() if step.config else None
    parts = [name.partition("/")[2] for name in project.parts_of(plan.writes[0])] if step.sliced else [""]
    reasons: list[str] = []
    for part in parts:
        upstream = (*plan.reads, *plan.after)
        anew = [one for one in upstream if one in stale]
        missing = [one for one in upstream if not project.made(part_of(one, part))]
        made = [project.made(name) for name in plan.outputs(part)]
        reasons += [reason for reason in _of_files(plan.outputs(part), project) if reason not in reasons]
        if None in made:
            reasons.append("it is not made yet")
        if None not in made and not missing:
            reasons += _since(made[0], plan.depends(project, part, config), plan.code_files())  # type: ignore[arg-type]
        if anew:
            reasons.append(f"made from {_listed(anew)}")
        elif missing:
            reasons.append(f"{_listed(missing)} not made yet")
        if plan.again and None not in made and plan.again(config, made[0]):  # type: ignore[arg-type]
            reasons.append("something of it is asked for again")
    if not reasons:
        return None
    noted = [project.made(part_of(plan.writes[0], part)) for part in parts]
    known = [note for note in noted if note and note.depends]
    return Due(
        names=plan.writes,
        stage=plan.stage,
        reasons=tuple(dict.fromkeys(reasons)),
        because_of_code=any(reason == OLDER or reason.startswith("code: ") for reason in reasons),
        seconds=round(sum(note.seconds for note in known), 1) if known else None,
        longest=round(sum(note.longest for note in known), 1) if known else None,
    )


def _listed(names: Sequence[str]) -> str:
    shown, more = ", ".join(names[:SHOWN_NAMES]), len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _of_files(names: Sequence[str], project: Project) -> Iterator[str]:
    for name in names:
        if said := project.changed(name):
            yield said


def _since(made: Made, today: Mapping[str, Any], code: Mapping[str, str]) -> list[str]:
    """What has changed since a result was stored."""
    if not made.depends:
        return [OLDER]
    before = made.depends
    reasons = [f"setting {change}" for change in _settings(before["settings"], today["settings"])]
    if before["code"] != today["code"]:
        files = sorted(file for file in {*made.code, *code} if made.code.get(file) != code.get(file))
        reasons += [f"code: {file}" for file in files] or ["code: the columns of its tables"]
    if before["config"] != today["config"]:
        reasons.append("it was made with another configuration of the run")
    if before["outside"] != today["outside"]:
        reasons.append("what lies outside the graph has changed: the museum folder, or the cataloguers' decisions")
    inputs = sorted({*before["inputs"], *today["inputs"]})
    reasons += [f"{one} has changed" for one in inputs if before["inputs"].get(one) != today["inputs"].get(one)]
    return reasons


def _settings(before: Any, today: Any, name: str = "") -> Iterator[str]:
    """The settings that differ, with both values; of a file only that its bytes differ."""
    if isinstance(before, Mapping) and isinstance(today, Mapping):
        for key in sorted({*before, *today}):
            yield from _settings(before.get(key), today.get(key), f"{name}.{key}".removeprefix("."))
    elif before != today:
        yield f"{name}: {_shown(before, today)}"


def _shown(before: Any, today: Any) -> str:
    if FILE.fullmatch(f"{before}") and FILE.fullmatch(f"{today}"):
        return "the file is missing" if f"{today}".endswith(":missing") else "its bytes have changed"
    if isinstance(today, list) and isinstance(before, list) and len(f"{today}{before}") > SHOWN:
        more, less = [one for one in today if one not in before], [one for one in before if one not in today]
        return f"with {more}, without {less}"
    texts = [f"{value:.{SHOWN}}" if isinstance(value, str) else f"{value}"[:SHOWN] for value in (before, today)]
    return " → ".join("none" if text == "None" else text for text in texts)
