"""What would be made anew is told before a run: by `eufcc status`, and by Dagster's page as stale."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assets.engine import asset_factory, versions
from assets.engine.asset_factory import STEPS, stage_asset
from assets.engine.plan import AssetPlan, Step
from assets.engine.project import Project
from assets.engine.status import OLDER, Due, due
from pipeline.settings import Settings, full
from pipeline.tables import TOMBSTONES


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty storage; the settings of the environment are its settings."""
    made = Project(full(), tmp_path / "storage")
    monkeypatch.setattr(asset_factory, "load", lambda: made.settings)
    return made


def graph() -> list[dg.AssetsDefinition]:
    """Letters are made from the take-down list and the minimum, tombstones from letters, and names from tombstones."""

    @stage_asset(AssetPlan("harvest", settings=("images.takedown_file", "curation.min_images_per_tag")))
    def letters(storage: Path, settings: Settings) -> dict[str, Any]:
        """The first letter of the file."""
        file = settings.images.takedown_file
        (storage / "letters").mkdir(parents=True, exist_ok=True)
        (storage / "letters" / "one.txt").write_text(file.read_text()[:1] if file else "")
        return {"letters": {"rows": 1}}

    @stage_asset(AssetPlan("curation"))
    def tombstones(letters: Path) -> pl.DataFrame:
        """None."""
        return TOMBSTONES.empty()

    @stage_asset(AssetPlan("curation", settings=("splits.seed",)))
    def names(tombstones: pl.DataFrame, storage: Path, settings: Settings) -> None:
        """The seed."""
        (storage / "names").mkdir(exist_ok=True)
        (storage / "names" / "one.txt").write_text(f"{settings.splits.seed}")

    return [letters, tombstones, names]


def steps_of(assets: list[dg.AssetsDefinition]) -> list[Step]:
    return [STEPS[one] for one in assets]


def with_settings(project: Project, **sections: dict[str, Any]) -> Project:
    values = project.settings.model_dump()
    for section, some in sections.items():
        values[section] |= some
    return Project(Settings.model_validate(values), project.storage)


def told(project: Project) -> dict[str, tuple[str, ...]]:
    return {one.names[0]: one.reasons for one in due(steps_of(graph()), project)}


def run(project: Project) -> None:
    for step in steps_of(graph()):
        step.plan.run(step.function, project)


def test_everything_is_due_at_first_and_nothing_after_the_run(project: Project):
    assert told(project) == {
        "letters": ("it is not made yet",),
        "tombstones": ("it is not made yet", "made from letters"),
        "names": ("it is not made yet", "made from tombstones"),
    }
    run(project)
    assert told(project) == {}


def test_the_setting_and_the_file_are_named(project: Project, tmp_path: Path):
    down = tmp_path / "down.txt"
    down.write_text("a")
    project = with_settings(project, images={"takedown_file": down})
    run(project)
    changed = with_settings(project, curation={"min_images_per_tag": 30}, splits={"seed": 7})
    assert told(changed) == {
        "letters": ("setting curation.min_images_per_tag: 10 → 30",),
        "tombstones": ("made from letters",),
        "names": ("setting splits.seed: 340 → 7", "made from tombstones"),
    }
    assert told(with_settings(project, splits={"seed": 7})) == {"names": ("setting splits.seed: 340 → 7",)}
    down.write_text("b")
    assert told(project)["letters"] == ("setting images.takedown_file: its bytes have changed",)
    down.unlink()
    assert told(project)["letters"] == ("setting images.takedown_file: the file is missing",)


def test_the_code_and_the_upstream_table_are_named(project: Project, monkeypatch: pytest.MonkeyPatch):
    run(project)
    units = versions.code_units
    monkeypatch.setattr(versions, "code_units", lambda entries: units(entries) | {"pipeline/new.py:f": "1"})
    assert told(project)["letters"] == ("code: pipeline/new.py",)
    monkeypatch.undo()
    made = project.made("letters")
    assert made is not None
    project.remember("letters", made.fingerprint, made.metadata, depends=made.depends)
    (project.storage / "letters" / "one.txt").write_text("changed")
    assert "letters is not what was stored" in told(project)["letters"][0]
    project.remember("letters", made.fingerprint, made.metadata, depends=made.depends)
    assert told(project) == {"tombstones": ("letters has changed",), "names": ("made from tombstones",)}


def test_a_note_of_an_older_version_says_so(project: Project):
    run(project)
    note = project.storage / ".made" / "letters.json"
    note.write_text('{"fingerprint": "f", "sha256": "s", "metadata": {}}')
    [first, *_] = due(steps_of(graph()), project)
    assert isinstance(first, Due)
    assert (first.reasons[-1], first.because_of_code, first.seconds) == (OLDER, True, None)


def test_how_long_it_took_is_told(project: Project):
    run(project)
    made = project.made("letters")
    assert made is not None
    assert 0 <= made.seconds <= made.longest < 60
    project.remember("letters", "other", made.metadata, depends=made.depends, seconds=2.0, longest=7200.0)
    run(project)  # faster than ever before
    [first, *_] = due(steps_of(graph()), with_settings(project, curation={"min_images_per_tag": 30}))
    assert first.seconds is not None
    assert first.seconds < 2.0
    assert first.longest == 7200.0


def test_the_page_shows_stale_before_the_run(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Settings are part of the code version that Dagster compares: another value, or other bytes of a file."""
    down = tmp_path / "down.txt"
    down.write_text("a")
    project = with_settings(project, images={"takedown_file": down})

    def stale(settings: Settings) -> dict[str, StaleStatus]:
        monkeypatch.setattr(asset_factory, "load", lambda: settings)
        defs = dg.Definitions(graph(), resources={"project": project})
        resolver = CachingStaleStatusResolver(instance, defs.resolve_asset_graph(), LoadingContextForTest(instance))
        return {name: resolver.get_status(dg.AssetKey(name)) for name in ("letters", "tombstones", "names")}

    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(asset_factory, "load", lambda: project.settings)
        assert dg.materialize(graph(), resources={"project": project}, instance=instance).success
        fresh = dict.fromkeys(("letters", "tombstones", "names"), StaleStatus.FRESH)
        assert stale(project.settings) == fresh
        seed = stale(with_settings(project, splits={"seed": 7}).settings)
        assert seed == fresh | {"names": StaleStatus.STALE}
        down.write_text("b")
        assert stale(project.settings)["letters"] == StaleStatus.STALE
