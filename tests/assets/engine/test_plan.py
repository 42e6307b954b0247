"""A plan runs its function when something it depends on has changed, and only then; without Dagster."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import BaseModel

from assets.engine.notes import Made, joined
from assets.engine.plan import AssetError, AssetPlan, TableWithMetadata
from assets.engine.project import ROOT, ChangedByHand, Project
from pipeline.foreign_parquet import TableError
from pipeline.settings import Settings, full
from pipeline.tables import TOMBSTONES

ROWS = [{"record_id": "/a/1", "withdrawn_at": datetime(2026, 1, 1, tzinfo=UTC), "reason": "gone"}]
PLAN = AssetPlan("harvest", code=(), settings=("harvest",))


class Config(BaseModel):
    """What a person may change for one run."""

    compare: bool = False


class Counted:
    """A function that makes the table `tombstones`, and counts its calls."""

    def __init__(self, rows: list[dict[str, Any]] = ROWS) -> None:
        self.rows, self.calls = rows, 0

    def __call__(self, settings: Settings) -> pl.DataFrame:
        self.calls += 1
        return TOMBSTONES.frame(self.rows)


def tombstones(function: Counted, project: Project, **changed: Any) -> bool:
    """One run of a plan that writes the table `tombstones`."""
    config = changed.pop("config", None)
    return AssetPlan("harvest", **({"code": (), "settings": ("harvest",), "writes": ("tombstones",)} | changed)).run(
        function, project, config=config
    )


def changed(project: Project, section: str, **values: Any) -> Project:
    """The project with other values in one section of its settings."""
    other = getattr(project.settings, section).model_copy(update=values)
    return Project(project.settings.model_copy(update={section: other}), project.storage)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(full(), tmp_path)


def test_the_signature_names_what_is_read_and_the_function_what_is_written():
    def groups(images: Path, records: pl.DataFrame, settings: Settings, slice_name: str) -> None: ...

    plan = PLAN.for_function(groups)
    assert plan.reads == {"images": Path, "records": pl.DataFrame}
    assert plan.writes == ("groups",)
    assert plan.outputs("000-of-002") == ["groups"]
    assert AssetPlan("images", code=(), writes=("images",)).outputs("000-of-002") == ["images/000-of-002"]


def test_every_slice_of_an_upstream_asset_is_an_input_of_the_whole(project: Project):
    plan = AssetPlan("features", code=(), writes=("features",), reads={"images": Path, "records": pl.DataFrame})
    assert plan.inputs(project, "000-of-064") == ["images/000-of-064", "records"]
    assert len(plan.inputs(project)) == 65


def test_it_runs_once_when_nothing_changes(project: Project):
    function = Counted()
    assert tombstones(function, project) is True
    assert tombstones(function, project) is False
    assert function.calls == 1
    made = project.made("tombstones")
    assert made is not None
    assert made.metadata == {"rows": 1, "bytes": project.path("tombstones").stat().st_size}


@pytest.mark.parametrize(("section", "values", "calls"), [("harvest", {"rows": 50}, 2), ("splits", {"seed": 1}, 1)])
def test_only_its_own_sections_of_the_settings_count(project: Project, section: str, values: dict, calls: int):
    function = Counted()
    tombstones(function, project)
    tombstones(function, changed(project, section, **values))
    assert function.calls == calls


@pytest.mark.parametrize(
    "difference",
    [
        {"code": ("pipeline/markdown.py",)},
        {"settings": ("harvest", "splits")},
        {"outside": lambda project: "another museum"},
        {"config": Config()},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_whatever_it_depends_on_is_in_the_fingerprint(project: Project, difference: dict[str, Any]):
    function = Counted()
    tombstones(function, project)
    assert tombstones(function, project, **difference) is True
    assert tombstones(function, project, **difference) is False


def test_it_runs_again_when_the_plan_says_so(project: Project):
    function = Counted()
    for config, runs in (
        (Config(compare=True), True),
        (Config(compare=True), True),
        (Config(), True),
        (Config(), False),
    ):
        assert tombstones(function, project, config=config, again=lambda config, made: config.compare) is runs


def test_a_lost_file_is_made_again(project: Project):
    function = Counted()
    tombstones(function, project)
    project.path("tombstones").unlink()
    assert tombstones(function, project) is True


def test_metadata_is_kept_beside_the_size(project: Project):
    plan = AssetPlan("curation", code=(), writes=("tombstones", "page"))

    def both(storage: Path) -> dict[str, Any]:
        (storage / "page").mkdir()
        (storage / "page" / "page.html").write_text("12345")
        return {"tombstones": TableWithMetadata(TOMBSTONES.frame(ROWS), {"moved": 3}), "page": {"page": "page.html"}}

    plan.run(both, project)
    table, page = project.made("tombstones"), project.made("page")
    assert table is not None
    assert page is not None
    assert (table.metadata["rows"], table.metadata["moved"]) == (1, 3)
    assert page.metadata == {"page": "page.html", "bytes": 5}


def test_the_size_before_is_noted(project: Project):
    tombstones(Counted(), project)
    tombstones(Counted([]), project, outside=lambda project: "changed")
    made = project.made("tombstones")
    assert made is not None
    assert (made.metadata["rows"], made.metadata["rows_before"]) == (0, 1)


def test_rows_that_do_not_fit_leave_the_previous_table(project: Project):
    tombstones(Counted(), project)
    before = project.path("tombstones").read_bytes(), project.made("tombstones")
    with pytest.raises(TableError, match="repeats"):
        tombstones(Counted(ROWS * 2), project, outside=lambda project: "changed")
    assert (project.path("tombstones").read_bytes(), project.made("tombstones")) == before


def test_a_function_that_fails_while_it_writes_its_own_files_leaves_no_note(project: Project):
    def half(storage: Path) -> None:
        raise OSError("the disk is full")

    tombstones(Counted(), project)
    with pytest.raises(OSError, match="full"):
        AssetPlan("harvest", code=(), writes=("tombstones",)).run(half, project)
    assert project.made("tombstones") is None


def test_a_function_that_writes_nothing_is_told(project: Project):
    with pytest.raises(AssetError, match="letters wrote nothing to"):
        AssetPlan("harvest", code=(), writes=("letters",)).run(lambda: None, project)


def test_a_missing_upstream_asset_is_told(project: Project):
    plan = AssetPlan("curation", code=(), writes=("tombstones",), reads={"records": pl.DataFrame})
    with pytest.raises(AssetError, match=r"records is not in .*: materialize it first"):
        plan.fingerprint(project)


def test_slices_have_their_own_notes_and_are_one_asset_together(tmp_path: Path):
    project = changed(Project(full(), tmp_path), "images", slices=2)
    plan = AssetPlan("features", code=(), writes=("features",))
    calls: list[str] = []

    def features(storage: Path, slice_name: str) -> dict[str, Any]:
        calls.append(slice_name)
        (storage / "features" / slice_name).mkdir(parents=True)
        (storage / "features" / slice_name / "a").write_text(slice_name)
        return {"features": {"rows": 2}}

    plan.run(features, project, "000-of-002")
    assert project.made("features") is None
    plan.run(features, project, "001-of-002")
    assert plan.run(features, project, "000-of-002") is False
    made = project.made("features")
    assert made is not None
    assert calls == ["000-of-002", "001-of-002"]
    assert made.metadata["rows"] == 4
    assert made == joined([project.made(f"features/{name}") for name in calls])  # type: ignore[misc]


def test_a_plan_needs_no_dagster():
    script = "import sys, assets.engine.plan; print('dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_missing_slices_are_counted_and_named(tmp_path: Path):
    project = changed(Project(full(), tmp_path), "images", slices=4)
    for name in ("000-of-004", "002-of-004"):
        (tmp_path / "images" / name).mkdir(parents=True)
        project.remember(f"images/{name}", "fingerprint", {"rows": 1})
    plan = AssetPlan("curation", code=(), writes=("tombstones",), reads={"images": Path})
    with pytest.raises(AssetError) as told:
        plan.fingerprint(project)
    counted = "images: 2 of 4 slices are missing: 001-of-004, 003-of-004."
    assert str(told.value) == f"{counted} `eufcc run dataset` makes them and keeps the others."


def test_many_missing_slices_are_cut_short(tmp_path: Path):
    project = Project(full(), tmp_path)
    (tmp_path / "images" / "000-of-064").mkdir(parents=True)
    project.remember("images/000-of-064", "fingerprint", {})
    with pytest.raises(AssetError, match=r"63 of 64 slices are missing: 001-of-064, .*005-of-064 and 58 more\."):
        AssetPlan("curation", code=(), writes=("tombstones",), reads={"images": Path}).fingerprint(project)


def images_of(project: Project, down: Path | None) -> tuple[Project, bool]:
    """The project under that take-down list, after a step that obeys it; whether the step ran."""
    listed = changed(project, "images", takedown_file=down)
    plan = AssetPlan("images", code=(), settings=("images",), writes=("pictures",), takes_down=True)

    def pictures(storage: Path) -> None:
        (storage / "pictures").mkdir(exist_ok=True)
        (storage / "pictures" / "a").write_text("a")

    return listed, plan.run(pictures, listed)


class Reads(Counted):
    """Makes the table from pictures."""

    def __call__(self, pictures: Path) -> pl.DataFrame:
        return super().__call__(full())


def test_nothing_is_made_from_images_of_another_takedown_list(project: Project, tmp_path: Path):
    plan = AssetPlan("curation", code=(), writes=("tombstones",), reads={"pictures": Path})
    down = tmp_path / "down.txt"
    down.write_text("/1/a\n")
    listed, _ = images_of(project, down)
    assert plan.run(Reads(), listed) is True
    down.write_text("/1/a\n/1/b\n")
    with pytest.raises(AssetError, match="The take-down list has changed since pictures was made: run the job"):
        plan.run(Reads(), listed)
    assert listed.older_than_takedowns() == ["pictures", "tombstones"]
    assert images_of(project, down)[1] is True
    assert listed.older_than_takedowns() == ["tombstones"]
    assert plan.run(Reads(), listed) is False  # the same bytes: current, and now of the new list
    assert listed.older_than_takedowns() == []


def test_models_are_not_held_up_by_the_takedown_list(project: Project, tmp_path: Path):
    images_of(project, None)
    plan = AssetPlan("training", code=(), writes=("tombstones",), reads={"pictures": Path}, of_images=False)
    plan.run(Reads(), project)
    made = project.made("tombstones")
    assert made is not None
    assert made.takedowns is None


def test_a_note_of_an_older_version_knows_no_takedown_list():
    old = {"fingerprint": "f", "sha256": "s", "metadata": {}}
    assert Made.from_note("images/000-of-002", old).takedowns == "unknown"
    assert Made.from_note("records", old).takedowns is None


def test_images_whose_takedown_list_is_not_known_are_not_read_either(project: Project):
    listed, _ = images_of(project, None)
    listed.note_takedowns("pictures", "unknown")
    plan = AssetPlan("curation", code=(), writes=("tombstones",), reads={"pictures": Path})
    with pytest.raises(
        AssetError, match="The note on pictures does not say which take-down list it was made under: run"
    ):
        plan.run(Reads(), listed)


def tamper(file: Path, *, same_times: bool) -> None:
    """Change one byte, and leave the size as it is; and the times too, as far as a program can set them."""
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(file.read_bytes().replace(b"gone", b"here"))
    if same_times:
        os.utime(file, ns=times)


@pytest.mark.parametrize("same_times", [False, True])
def test_a_table_changed_by_hand_is_refused_by_name(project: Project, same_times: bool):
    tombstones(Counted(), project)
    plan = AssetPlan("curation", code=(), writes=("letters",), reads={"tombstones": Path})
    tamper(project.path("tombstones"), same_times=same_times)
    for read in (lambda: plan.run(Unread(), project), lambda: project.here("tombstones")):
        with pytest.raises(
            ChangedByHand, match=r"tombstones is not what was stored: .* delete .*tombstones\.parquet and run"
        ):
            read()
    assert project.made("letters") is None
    project.path("tombstones").unlink()  # as the message says
    assert tombstones(Counted(), project) is True
    project.check("tombstones")


def test_a_file_more_or_less_in_a_folder_is_a_change(project: Project):
    folder = project.path("letters")
    folder.mkdir()
    (folder / "a").write_text("a")
    project.remember("letters", "f", {})
    project.check("letters")
    (folder / "b").write_text("b")
    with pytest.raises(ChangedByHand):
        project.check("letters")
    (folder / "b").unlink()
    (folder / "a").touch()  # another time, the same bytes
    project.check("letters")
    (folder / "a").unlink()
    with pytest.raises(ChangedByHand):
        project.check("letters")


class Unread(Counted):
    """Is never called."""

    def __call__(self, tombstones: Path) -> pl.DataFrame:
        raise AssertionError
