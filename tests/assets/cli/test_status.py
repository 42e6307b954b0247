"""`eufcc status JOB` tells what `eufcc run JOB` would do, and no more."""

import json

import pytest

from assets.cli import status as subject
from assets.engine.plan import AssetPlan, Step
from assets.engine.project import Project
from pipeline.settings import Settings, full


def record_tags(storage, settings: Settings) -> None:
    """The minimum."""
    (storage / "record_tags").mkdir(parents=True, exist_ok=True)
    (storage / "record_tags" / "one.txt").write_text(f"{settings.curation.min_images_per_tag}")


def splits(record_tags, storage) -> None:
    """Nothing of its own."""
    (storage / "splits").mkdir(exist_ok=True)
    (storage / "splits" / "one.txt").write_text("")


def step(stage: str, function, *settings: str) -> Step:
    return Step(AssetPlan(stage, settings=settings).for_function(function), function, None, sliced=False)


STEPS = [step("curation", record_tags, "curation.min_images_per_tag"), step("splits", splits)]


@pytest.fixture
def project(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A storage in which everything is made, and then the rule of the curation has changed."""
    made = Project(full(), tmp_path / "storage")
    monkeypatch.setattr("pipeline.tables.TABLES", {})
    monkeypatch.setattr("assets.engine.project.TABLES", {})
    monkeypatch.setattr("assets.engine.plan.TABLES", {})
    for one in STEPS:
        one.plan.run(one.function, made)
    curation = made.settings.curation.model_copy(update={"min_images_per_tag": 30})
    changed = Project(made.settings.model_copy(update={"curation": curation}), made.storage)
    monkeypatch.setattr(subject, "current_project", lambda: changed)
    monkeypatch.setattr("assets.steps.steps_in_order", lambda: STEPS)
    return changed


def told(job: str | None, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    subject.status(job, as_json=True)
    return {one["names"][0]: one["reasons"] for one in json.loads(capsys.readouterr().out)}


def test_a_job_is_told_by_its_own_steps_alone(project: Project, capsys: pytest.CaptureFixture[str]):
    """The job `splits` splits the dataset that is stored; another rule makes no other one until `dataset` runs."""
    rule = ["setting curation.min_images_per_tag: 10 → 30"]
    assert told("splits", capsys) == {}
    assert told("dataset", capsys) == {"record_tags": rule}
    everything = {"record_tags": rule, "splits": ["made from record_tags"]}
    assert told("benchmark", capsys) == told(None, capsys) == everything
