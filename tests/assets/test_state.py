"""A result is a function of what is there today: after any change, a storage with a history equals a fresh one.

One storage goes through random changes: of a setting, of a byte of a file that a setting names, of the collections, of
a byte of a stored table, of the code. After each, every step is run. All tables and folders are then those of a fresh
storage with the same settings, files and code, and no step has run that does not depend on what has changed.
"""

import ast
import os
import random
import shutil
from collections.abc import Callable

import pytest

from assets.engine import code_units, versions
from assets.engine.plan import part_of
from assets.engine.project import ROOT, ChangedByHand, Project
from pipeline.splits import outer
from pipeline.tables import TABLES
from tests.assets.world import FILES, SETTINGS, SLICE, World, read_code_again, run_step

SHORT, LONG = 10, 200  # each kind of change twice


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
