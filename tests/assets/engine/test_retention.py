"""Old runs leave the event log; the run that last made an asset stays. Other notes say what they said before."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.engine.locks import hold
from assets.engine.notes import stamps_of
from assets.engine.plan import AssetPlan, Step
from assets.engine.project import Project
from assets.engine.retention import OTHERS, delete_old_sets, delete_other_pages, tidy
from assets.engine.status import due
from pipeline.files import sha256_of
from pipeline.harvest.store import Generation
from pipeline.history import SplitSet, add
from pipeline.settings import full


@dg.asset
def one() -> None: ...


def test_old_runs_go_and_the_last_word_on_an_asset_stays():
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [dg.materialize([one], instance=instance).run_id for _ in range(3)]
        assert tidy(instance, timedelta(days=1)) == []
        assert sorted(tidy(instance, timedelta(seconds=-1))) == sorted(runs[:2])
        assert [run.run_id for run in instance.get_runs()] == runs[2:]
        assert instance.get_latest_materialization_event(dg.AssetKey("one")) is not None


def history(storage: Path) -> dict[str, dict[str, int]]:
    """Three sets of splits."""
    (storage / "splits.txt").parent.mkdir(parents=True, exist_ok=True)
    for day in (1, 2, 3):
        splits = storage / "splits.txt"
        splits.write_text(f"{day}")
        made = SplitSet(f"2026-11-0{day}T00:00:00+00:00", sha256_of(splits), 1, 1, "", {}, {})
        add(storage / "history", made, {}, splits)
    return {"history": {"sets": 3}}


HISTORY = Step(AssetPlan("splits").for_function(history), history, None, sliced=False)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty storage that keeps one set of splits."""
    settings = full()
    kept = settings.history.model_copy(update={"sets": 1})
    return Project(settings.model_copy(update={"history": kept}), tmp_path / "storage")


def about(project: Project, name: str) -> dict[str, object]:
    """What the note says of how a folder was made, and that it is of the files that are there."""
    made = project.made(name)
    assert made is not None
    assert (made.sha256, made.stamps) == (sha256_of(project.path(name)), stamps_of(project.path(name)))
    return vars(replace(made, sha256="", stamps={}, metadata={}))


def test_old_sets_go_and_their_note_says_what_it_said(project: Project):
    HISTORY.plan.run(HISTORY.function, project)
    made = project.made("history")
    assert made is not None
    project.remember_changed("history", replace(made, takedowns="list", seconds=2.0, longest=7200.0), made.metadata)
    before = about(project, "history")
    assert len(delete_old_sets(project)) == 2
    assert about(project, "history") == before
    assert (before["takedowns"], before["seconds"], before["longest"]) == ("list", 2.0, 7200.0)
    assert before["depends"]
    assert before["code"]
    assert due([HISTORY], project) == []
    after = project.made("history")
    assert after is not None
    assert after.metadata["sets"] == 1
    assert delete_old_sets(project) == []


def test_other_pages_go_and_their_note_says_what_it_said(project: Project):
    folder = project.path("pages") / "attic" / "000-whole"
    Generation(
        folder, "attic", "whole", "2026-01-01T00:00:00+00:00", "asked", (None, None), None, 0, (), 0, 0, 0
    ).write()
    given = {"takedowns": "list", "depends": {"code": "c"}, "code": {"a.py": "1"}, "seconds": 2.0, "longest": 3.0}
    project.remember("pages", "europeana", {"records": 1, OTHERS: "attic"}, **given)
    before = about(project, "pages")
    assert before == {"fingerprint": "europeana", "sha256": "", "metadata": {}, "stamps": {}, **given}
    assert delete_other_pages(project) == ["attic"]
    assert about(project, "pages") == before
    after = project.made("pages")
    assert after is not None
    assert after.metadata == {"records": 1, "bytes": 0}


def test_the_note_is_read_when_no_run_can_change_it(project: Project, monkeypatch: pytest.MonkeyPatch):
    """A run that ends between a look and the lock has stored another note, which is the one to keep."""
    HISTORY.plan.run(HISTORY.function, project)
    made = project.made("history")
    assert made is not None

    def after_another_run(*given: object):
        project.remember_changed("history", replace(made, fingerprint="another"), made.metadata)
        return hold(*given)

    monkeypatch.setattr("assets.engine.retention.hold", after_another_run)
    assert len(delete_old_sets(project)) == 2
    assert about(project, "history")["fingerprint"] == "another"
