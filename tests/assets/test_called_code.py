"""A code version holds all code that its step calls, and every template and table that the step opens."""

import ast
import sys
import threading
import types
from collections.abc import Callable
from dataclasses import replace
from functools import cache, wraps
from typing import Any

from assets.engine import code_units, versions
from assets.engine.project import ROOT
from tests.assets.world import FEATURES, World, run_step


class Watched:
    """The definitions of ours that are called, and the data files beside our code that are opened, while it watches."""

    def __init__(self) -> None:
        self.calls: set[tuple[str, int]] = set()
        self.opened: set[str] = set()
        self.on = False
        sys.addaudithook(self._audit)  # cannot be taken away again

    def during(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, watched while it is called."""

        @wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            with self:
                return function(*given, **named)

        return call

    def __enter__(self) -> "Watched":
        self.on = True
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
        self.on = False

    def _profile(self, frame: types.FrameType, event: str, argument: object) -> None:
        if event == "call" and (file := ours(frame.f_code.co_filename)) and file.endswith(".py"):
            self.calls.add((file, frame.f_code.co_firstlineno))

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event == "open" and (file := ours(str(arguments[0]))) and "__pycache__" not in file:
            self.opened.add(file)


def ours(path: str) -> str | None:
    """The path in the repository of a file of ours whose code can decide a result."""
    inside = path.removeprefix(f"{ROOT}/")
    counts = inside.startswith(tuple(f"{name}/" for name in code_units.OURS)) and inside not in versions.LEFT_OUT
    return inside if counts and not inside.startswith(versions.LEFT_OUT_ROOMS) else None


@cache
def units_by_line(file: str) -> dict[int, list[str]]:
    """The units that each line of a module belongs to; those of a decorator too."""
    lines: dict[int, list[str]] = {}
    for statement in ast.parse((ROOT / file).read_bytes()).body:
        first = min(one.lineno for one in ast.walk(statement) if hasattr(one, "lineno"))  # of a decorator
        for line in range(first, 1 + (statement.end_lineno or 0)):
            lines[line] = code_units._defined(statement)
    return lines


def test_all_code_that_a_step_calls_is_in_its_code_version(world: World):
    """So is every template and table that it opens. The steps run once before: what an import calls is done by then."""
    world.run(world.fresh("before"))
    project, watched = world.fresh("watched"), Watched()
    for step in world.steps:
        watched.calls.clear()
        watched.opened.clear()
        run_step(replace(step, function=watched.during(step.function)), project)
        units = versions.code_units(step.plan.entries)
        called = {f"{file}:{unit}" for file, line in watched.calls for unit in units_by_line(file).get(line, ())}
        assert called or step is FEATURES, step.plan.writes
        assert called - units.keys() == set(), step.plan.writes
        data = {file for file in watched.opened if not file.endswith(".py")}
        assert data - versions.code_files(step.plan.entries).keys() == set(), step.plan.writes
