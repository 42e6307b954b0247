"""A plan as a Dagster asset: what was re-used is told, and an error is one sentence."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.engine.asset_factory import stage_asset
from assets.engine.plan import AssetPlan
from assets.engine.project import Project, storage_of
from pipeline.http import Unreachable
from pipeline.settings import Settings, full
from pipeline.tables import TOMBSTONES

ROWS = [{"record_id": "/a/1", "withdrawn_at": datetime(2026, 1, 1, tzinfo=UTC), "reason": "gone"}]


def run(assets: list[dg.AssetsDefinition], project: Project) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets, resources={"project": project}, raise_on_error=False)


def of(result: dg.ExecuteInProcessResult, name: str) -> dict[str, object]:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key.to_user_string() == name]
    return {key: value.value for key, value in event.materialization.metadata.items()}


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.user_failure_data.description


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(full(), tmp_path)


def counted(rows: list[dict[str, object]], calls: list[str]) -> dg.AssetsDefinition:
    @stage_asset(AssetPlan("harvest", code=(), settings=("harvest",)))
    def tombstones(settings: Settings) -> pl.DataFrame:
        """Withdrawn."""
        calls.append(settings.profile)
        return TOMBSTONES.frame(rows)

    return tombstones


def test_nothing_changed_means_nothing_is_called(project: Project):
    calls: list[str] = []
    first = run([counted(ROWS, calls)], project)
    second = run([counted(ROWS, calls)], project)
    assert calls == ["full"]
    assert of(first, "tombstones")["reused"] is False
    assert of(second, "tombstones")["reused"] is True
    assert of(first, "tombstones")["sha256"] == of(second, "tombstones")["sha256"]
    assert of(second, "tombstones")["rows"] == 1


def test_downstream_follows_the_bytes_and_not_the_run(project: Project):
    calls: list[int] = []

    @stage_asset(AssetPlan("curation", code=(), writes=("tombstones",)))
    def again(letters: Path) -> pl.DataFrame:
        """Counts its calls."""
        calls.append(1)
        return TOMBSTONES.frame(ROWS)

    def upstream(text: str) -> dg.AssetsDefinition:
        @stage_asset(AssetPlan("harvest", code=(), outside=lambda project: text))
        def letters(storage: Path) -> None:
            """Bytes that depend on the first letter alone."""
            (storage / "letters").mkdir(exist_ok=True)
            (storage / "letters" / "first.txt").write_text(text[0])

        return letters

    for text in ("aa", "ab", "ba"):
        run([upstream(text), again], project)
    assert len(calls) == 2


def test_an_error_of_our_rooms_is_one_sentence(project: Project):
    @stage_asset(AssetPlan("harvest", code=()))
    def tombstones() -> pl.DataFrame:
        """Fails as a room of ours does."""
        raise Unreachable("api.europeana.eu does not answer: look at the network, then start the run again.")

    result = run([tombstones], project)
    assert not result.success
    assert failure_of(result) == "api.europeana.eu does not answer: look at the network, then start the run again."
    assert not project.path("tombstones").exists()


def test_rows_that_do_not_fit_leave_the_previous_table(project: Project):
    run([counted(ROWS, [])], project)
    before = project.path("tombstones").read_bytes()

    @stage_asset(AssetPlan("harvest", code=(), outside=lambda project: "changed"))
    def tombstones() -> pl.DataFrame:
        """Two rows of one key."""
        return TOMBSTONES.frame(ROWS * 2)

    result = run([tombstones], project)
    assert not result.success
    assert "the key ('record_id',) repeats" in failure_of(result)
    assert project.path("tombstones").read_bytes() == before


def test_a_missing_upstream_says_what_to_do(project: Project):
    @stage_asset(AssetPlan("curation", code=(), writes=("tombstones",)))
    def alone(records: pl.DataFrame) -> pl.DataFrame:
        """Needs records."""
        return records

    result = run([alone], project)
    assert "records is not in" in failure_of(result)
    assert "materialize it first" in failure_of(result)


def test_two_museums_of_one_name_do_not_share_storage(tmp_path: Path):
    one = full().model_copy(update={"profile": "demo", "source": "museum", "museum": tmp_path / "a" / "museum"})
    other = one.model_copy(update={"museum": tmp_path / "b" / "museum"})
    assert storage_of(one, tmp_path) != storage_of(other, tmp_path)
    assert storage_of(one, tmp_path).name.startswith("demo-museum-")
