"""A result is a function of what is there today: after any change, a storage with a history equals a fresh one.

One storage goes through random changes: of a setting, of a byte of a file that a setting names, of the collections, of
a byte of a stored table, of the code. After each, every step is run. All tables and folders are then those of a fresh
storage with the same settings, files and code, and no step has run that does not depend on what has changed.

The steps run without Dagster, on the museum's real answers. Training and evaluation are left out, and the history,
which holds more than today; the features are short random vectors.
"""

import ast
import os
import random
import shutil
import sys
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assets.engine import code_units, versions
from assets.engine.plan import AssetPlan, Step, part_of
from assets.engine.project import ROOT, ChangedByHand, Project
from assets.harvest import europeana
from assets.steps import steps_in_order
from pipeline.harvest.pages import harvest_collection
from pipeline.parquet import write_parquet
from pipeline.settings import RULES_FILE, Settings, demo
from pipeline.splits import outer
from pipeline.tables import FETCHES, IMAGES, TABLES, features_table
from tests.support.museum_server import running

COLLECTIONS = ("furniture", "costume", "vessel")
SLICE = "000-of-001"
LEFT_OUT_STAGES = {"training", "evaluation", "suites", "promotion"}
LEFT_OUT = {"history"}
SLOW = {"statistics"}  # left out of the short test
# A setting, its values, and the steps that read it; all others may run only because a table that they read has changed.
SETTINGS: dict[str, tuple[tuple[Any, ...], set[str]]] = {
    "curation.min_images_per_tag": ((2, 3, 4), {"selected_records", "tags"}),
    "curation.excluded_providers": ((("Mobilier National",), ()), {"selected_records"}),
    "curation.max_records_per_provider": ((None, 5, 20), {"selected_records"}),
    "vocabulary.languages": ((("ca", "en"), ("ca", "es", "en", "de", "nl", "fr")), {"concept_alignments", "release"}),
    "vocabulary.follow_close_matches": ((False, True), {"concept_alignments"}),
    "harvest.max_records_per_collection": ((None, 12), {"records", "tombstones"}),
    "harvest.collections": ((COLLECTIONS, COLLECTIONS[:2], COLLECTIONS[1:]), {"records", "tombstones"}),
    "images.near_duplicate_likeness": ((0.7, 0.6), {"groups"}),
    "images.connections": ((32, 4), set()),
    "http.backoff_first_s": ((0.1, 0.2), set()),
    "splits.seed": ((340, 1, 2), {"provider_distances", "splits"}),
    "splits.outer_providers": ((2, 1), {"provider_distances"}),
    "splits.second_rule": (("farthest", "nearest"), {"provider_distances"}),
    "splits.test_share": ((0.1, 0.2), {"splits"}),
    "splits.objective": (("balanced", "proportional"), {"splits"}),
    "release.version": (("0.1.0", "0.2.0"), {"release"}),
}
FILES = {
    "corrections.csv": {"corrections"},
    "rules.toml": {"selected_records", "concept_alignments"},
    "labels.csv": {"concept_alignments"},
    "down.txt": {"fetches"},
    "previous.parquet": {"provider_distances", "splits"},
}
SHORT, LONG = 20, 200


class World:
    """The museum, the files that the settings name, and the storages."""

    def __init__(
        self, folder: Path, museum: Path, address: str, monkeypatch: pytest.MonkeyPatch, left_out: set[str]
    ) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        steps = [step for step in steps_in_order() if step.plan.stage not in LEFT_OUT_STAGES]
        steps = [step for step in steps if step.plan.writes[0] not in left_out]
        self.steps = [FEATURES if step.plan.writes == ("features",) else step for step in steps]
        self.files = {name: folder / "files" / name for name in FILES}
        self.values = demo(museum, address).model_dump()
        self.values["images"] |= {"slices": 1, "takedown_file": self.files["down.txt"]}
        self.values["curation"]["corrections_file"] = self.files["corrections.csv"]
        self.values["vocabulary"] |= {
            "rules_file": self.files["rules.toml"],
            "label_files": (self.files["labels.csv"],),
        }
        self.values["splits"] |= {"previous": self.files["previous.parquet"], "reselect": True}
        self.values["splits"] |= {"outer_min_share": 0.01, "outer_max_share": 0.9}
        for name, (values, _) in SETTINGS.items():
            self.give(name, values[0])
        self.sources: dict[str, bytes] = {}  # changed source files
        self._write_files()
        self._make_given()

    def give(self, name: str, value: Any) -> None:
        section, key = name.split(".")
        self.values[section][key] = value

    def project(self, storage: Path) -> Project:
        return Project(Settings.model_validate(self.values), storage)

    def fresh(self, name: str) -> Project:
        """A storage with nothing but what is given."""
        storage = self.folder / name
        shutil.copytree(self.folder / "given", storage)
        project = self.project(storage)
        project.remember("pages", "given", {})
        return project

    def run(self, project: Project) -> set[str]:
        """Run every step in its order; the first names of those that did something."""
        return {step.plan.writes[0] for step in self.steps if run_step(step, project)}

    def hashes(self, project: Project) -> dict[str, str]:
        """The sha256 of everything that the steps write, but for the fetches: these are a log, and note times."""
        names = [one for step in self.steps for one in step.plan.outputs(SLICE if step.sliced else "")]
        found = {name: project.made(name) for name in names}
        assert None not in found.values(), found
        return {name: made.sha256 for name, made in found.items() if made and not name.startswith("fetches")}

    def fetched(self, project: Project) -> set[tuple[Any, ...]]:
        """What came of every URL."""
        return {*FETCHES.read(project.path("fetches"), ["url", "state", "reason", "content_sha256"]).iter_rows()}

    def _write_files(self) -> None:
        (self.folder / "files").mkdir()
        self.files["corrections.csv"].write_text("record_id,tag_id,action,reason,who,date\n")
        self.files["rules.toml"].write_text(RULES_FILE.read_text(encoding="utf-8"), encoding="utf-8")
        self.files["labels.csv"].write_text("aat_id,lang,label,source\n")
        self.files["down.txt"].write_text("# nothing\n")
        TABLES["splits"].write(TABLES["splits"].empty(), self.files["previous.parquet"])

    def _make_given(self) -> None:
        given = Project(Settings.model_validate(self.values), self.folder / "given")
        with europeana(given) as client:
            for name in COLLECTIONS:
                harvest_collection(client, name, given.path("pages") / name, given.settings.harvest)
        shutil.rmtree(given.storage / "cache")


def features(images: Path, storage: Path, slice_name: str) -> None:
    """A short vector for every image, drawn from its id, in place of a network's."""
    ids = IMAGES.read(images, ["image_id"])["image_id"].unique().sort()
    vectors = [np.random.default_rng(int(one[:16], 16)).standard_normal(8).astype(np.float16) for one in ids]
    flat = np.concatenate([np.zeros(0, np.float16), *vectors])
    columns = [pa.array(ids, pa.string()), pa.array(["random-inception"] * len(ids), pa.string())]
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), 8))
    rows = features_table(8).conform(pa.table(columns, ["image_id", "extractor", "vector"]))
    write_parquet(rows, storage / "features" / slice_name / "part-00000.parquet", row_group_size=1_000)


FEATURES = Step(AssetPlan("features").for_function(features), features, None, sliced=True)


def run_step(step: Step, project: Project) -> bool:
    config = step.config() if step.config else None
    return step.plan.run(step.function, project, SLICE if step.sliced else "", config=config)


@pytest.fixture
def world(
    drawn_museum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[World]:
    monkeypatch.delenv("ASSISTANT_DATABASE", raising=False)
    museum = drawn_museum(60)
    with running(museum) as address:
        left_out = LEFT_OUT if request.node.get_closest_marker("long") else LEFT_OUT | SLOW
        made = World(tmp_path, museum, address, monkeypatch, left_out)
        yield made
    for cached in (code_units.module, versions._code_units):
        cached.cache_clear()


class Change:
    """What was changed, in words, and the steps that may run because of it."""

    def __init__(self, words: str, steps: set[str]) -> None:
        self.words, self.steps = words, steps


def change_setting(world: World, project: Project, chance: random.Random) -> Change:
    name = chance.choice(sorted(SETTINGS))
    values, steps = SETTINGS[name]
    value = chance.choice(values)
    world.give(name, value)
    return Change(f"{name} = {value}", steps)


def change_collections(world: World, project: Project, chance: random.Random) -> Change:
    values, steps = SETTINGS["harvest.collections"]
    value = chance.choice(values)
    world.give("harvest.collections", value)
    return Change(f"collections {value}", steps)


def change_file(world: World, project: Project, chance: random.Random) -> Change:
    name = chance.choice(sorted(FILES))
    file = world.files[name]
    record = chance.choice(TABLES["records"].read(project.path("records"))["record_id"].to_list())
    concept = chance.choice(TABLES["concepts"].read(project.path("concepts"))["concept_id"].to_list())
    if name == "previous.parquet":
        rows = TABLES["splits"].read(project.path("splits"))
        TABLES["splits"].write(rows.head(chance.randrange(rows.height + 1)), file)
    elif name == "down.txt" and chance.random() < 0.3:
        file.write_text("# nothing\n")
    else:
        line = {
            "corrections.csv": f"{record},{concept},{chance.choice(['add', 'remove'])},seen,anna,2026-08-02\n",
            "rules.toml": f"# {chance.random()}\n",
            "labels.csv": f"{concept},nl,woord {chance.randrange(100)},us\n",
            "down.txt": f"{record}\n",
        }[name]
        with file.open("a", encoding="utf-8") as out:
            out.write(line)
    return Change(f"a byte of {name}", FILES[name])


def change_table(world: World, project: Project, chance: random.Random) -> Change:
    """One byte of a stored file: it is refused by its name until it is deleted, as the message says."""
    step = chance.choice([step for step in world.steps if not step.sliced and step.plan.writes[0] != "tombstones"])
    name = chance.choice(step.plan.writes)
    place = project.path(name)
    file = place if place.is_file() else chance.choice(sorted(one for one in place.rglob("*") if one.is_file()))
    content = bytearray(file.read_bytes())
    position = chance.randrange(len(content))
    content[position] ^= 1 << chance.randrange(8)
    stat = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(ChangedByHand, match=f"{name} is not what was stored"):
        project.here(name)
    for reader in world.steps:
        if name in (*reader.plan.reads, *reader.plan.after):
            with pytest.raises(ChangedByHand, match=f"{name} is not what was stored"):
                run_step(reader, project)
    if place.is_file():
        place.unlink()
    else:
        shutil.rmtree(place)
    return Change(f"a byte of the table {name}", {step.plan.writes[0]})


def change_code(world: World, project: Project, chance: random.Random) -> Change:
    """A statement without effect in a function, class or variable behind the steps; or another value of a constant."""
    if chance.random() < 0.2:
        name, unit, digits = "pipeline/splits/outer.py", "DIGITS", chance.choice([3, 4, 5])
        world.monkeypatch.setattr(outer, "DIGITS", digits)
        edited = source(world, name) + f"\nDIGITS = {digits}\n".encode()
    else:
        entries = [entry for step in world.steps for entry in step.plan.entries]
        units = [unit for unit in versions.code_units(entries) if ".py:" in unit]
        name, unit = chance.choice([one.split(":") for one in units if not one.endswith(f":{code_units.REST}")])
        edited = with_statement(source(world, name), unit, chance)
    steps = {step.plan.writes[0] for step in world.steps if f"{name}:{unit}" in versions.code_units(step.plan.entries)}
    world.sources[name] = edited
    read_code_again(world)
    return Change(f"the code {name}:{unit}", steps)


def read_code_again(world: World) -> None:
    """Forget what is known of the code: this process has read it before the change, or under another test's changes."""
    for cached in (code_units.module, versions._code_units):
        cached.cache_clear()
    for step in world.steps:
        step.plan.__dict__.pop("version", None)


def source(world: World, file: str) -> bytes:
    return world.sources.get(file) or (ROOT / file).read_bytes()


def with_statement(text: bytes, unit: str, chance: random.Random) -> bytes:
    """The module with one statement more in that unit."""
    lines = text.decode().splitlines()
    [*_, statement] = [one for one in ast.parse(text).body if unit in code_units._defined(one)]
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        extra = f"{' ' * statement.body[-1].col_offset}{chance.randrange(10**9)}"
    else:
        extra = f"{unit} = {unit}  # {chance.random()}"
    return "\n".join([*lines[: statement.end_lineno], extra, *lines[statement.end_lineno :]]).encode()


KINDS: tuple[Callable[[World, Project, random.Random], Change], ...] = (
    change_setting,
    change_file,
    change_collections,
    change_table,
    change_code,
)


def check(world: World, changes: int, seed: int) -> dict[str, int]:
    """Make so many changes, each followed by a run here and a run from nothing; returns how many of each kind."""
    chance = random.Random(seed)
    read = code_units.content
    world.monkeypatch.setattr(code_units, "KEPT", str(world.folder / "code"))
    world.monkeypatch.setattr(code_units, "content", lambda file: world.sources.get(file) or read(file))
    world.monkeypatch.setattr(versions, "content", code_units.content)
    read_code_again(world)
    storage = world.fresh("history").storage
    world.run(world.project(storage))
    counts = {kind.__name__: 0 for kind in KINDS}
    for number in range(changes):
        kind = KINDS[number % len(KINDS)]
        change = kind(world, world.project(storage), chance)
        project = world.project(storage)
        read_before = inputs_of(world, project)
        ran = world.run(project)
        read_after = inputs_of(world, project)
        follows = {name for name in read_before if read_before[name] != read_after[name]}
        assert ran <= change.steps | follows, (seed, number, change.words)
        assert world.run(project) == set(), (seed, number, change.words)
        anew = world.fresh(f"anew_{number}")
        world.run(anew)
        assert world.hashes(project) == world.hashes(anew), (seed, number, change.words)
        assert world.fetched(anew) <= world.fetched(project), (seed, number, change.words)
        shutil.rmtree(anew.storage)
        counts[kind.__name__] += 1
    return counts


def inputs_of(world: World, project: Project) -> dict[str, list[str | None]]:
    """What each step reads, by its first name: the sha256 of its tables."""
    found: dict[str, list[str | None]] = {}
    for step in world.steps:
        part = SLICE if step.sliced else ""
        made = [project.made(part_of(one, part)) for one in (*step.plan.reads, *step.plan.after)]
        found[step.plan.writes[0]] = [one.sha256 if one else None for one in made]
    return found


def test_a_history_equals_a_fresh_storage(world: World):
    assert sum(check(world, SHORT, seed=26).values()) == SHORT


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_a_long_history_equals_a_fresh_storage(world: World, seed: int, capsys: pytest.CaptureFixture[str]):
    counts = check(world, LONG // 2, seed)
    with capsys.disabled():
        print(f"\nseed {seed}: {counts}")
    assert sum(counts.values()) == LONG // 2


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
