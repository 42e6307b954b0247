"""A plan as a Dagster asset: what was re-used is told, and an error is one sentence."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.engine.asset_factory import stage_asset
from assets.engine.asset_metadata import key_of
from assets.engine.builtin_checks import READABLE
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
    @stage_asset(AssetPlan("harvest", settings=("harvest", "profile")))
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


def both(calls: list[int], letters: str = "{}") -> dg.AssetsDefinition:
    @stage_asset(AssetPlan("harvest", code=(), writes=("tombstones", "letters")))
    def written(storage: Path) -> dict[str, object]:
        """Two outputs of one step."""
        calls.append(1)
        (storage / "letters").mkdir(exist_ok=True)
        (storage / "letters" / "all.json").write_text(letters)
        return {"tombstones": TOMBSTONES.frame(ROWS), "letters": {"count": 2}}

    return written


def run_some(asset: dg.AssetsDefinition, project: Project, instance: dg.DagsterInstance, selection: object):
    given = {"resources": {"project": project}, "instance": instance, "raise_on_error": False}
    job = dg.Definitions([asset], jobs=[dg.define_asset_job("some", selection)], resources=given.pop("resources"))
    return job.resolve_job_def("some").execute_in_process(**given)


def test_one_of_two_outputs_can_be_selected_and_the_other_is_reported_too(project: Project):
    """Both are written: Dagster knows the bytes of both, and takes neither for stale."""
    calls: list[int] = []
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_some(both(calls), project, instance, dg.AssetSelection.assets("letters"))
        assert result.success
        assert calls == [1]
        for name in ("tombstones", "letters"):
            event = instance.get_latest_materialization_event(key_of(name))
            assert event.asset_materialization.tags["dagster/data_version"] == project.made(name).sha256
            assert event.asset_materialization.tags["dagster/code_version"]
        evaluated = {(one.asset_key.to_user_string(), one.check_name) for one in result.get_asset_check_evaluations()}
        assert {name for name, _ in evaluated} == {"tombstones", "letters"}
        assert len(evaluated) == 4


def test_a_blocking_check_of_the_output_that_was_not_selected_fails_the_step(project: Project):
    with dg.DagsterInstance.ephemeral() as instance:
        result = run_some(both([], letters="{"), project, instance, dg.AssetSelection.assets("tombstones"))
        assert not result.success
        [failed] = [one for one in result.get_asset_check_evaluations() if not one.passed]
        assert (failed.asset_key, failed.check_name) == (key_of("letters"), READABLE)


def test_checks_alone_make_nothing(project: Project):
    calls: list[int] = []
    with dg.DagsterInstance.ephemeral() as instance:
        run_some(both(calls), project, instance, dg.AssetSelection.all())
        checks = dg.AssetSelection.checks(dg.AssetCheckKey(key_of("letters"), READABLE))
        (project.storage / "letters" / "all.json").write_text("{")
        result = run_some(both(calls, "[]"), project, instance, checks)
        [checked] = result.get_asset_check_evaluations()
        assert not checked.passed
        assert f"Delete {project.storage / 'letters'}, then run the job again that makes it." in checked.description
        assert calls == [1]
