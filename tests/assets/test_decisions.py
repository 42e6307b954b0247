"""What cataloguers decide at the assistant becomes corrections, and verified negatives of the next training."""

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.curation import cataloguer_decisions, corrections, rejected_tags
from assets.engine.project import Project
from ml.assistant.store import Act, NewImage, Store
from ml.assistant.vocabulary import Term, Vocabulary
from pipeline.settings import full
from pipeline.tables import RECORD_TAGS, TABLES, TAGS

METAL, BRONZE, GLASS = "300010900", "300010957", "300010797"
VOCABULARY = Vocabulary(
    [
        Term(METAL, "materials", labels={"en": "metal"}),
        Term(BRONZE, "materials", (METAL,), {"en": "bronze"}),
        Term(GLASS, "materials", labels={"en": "glass"}),
    ]
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A storage with three tags, and a record that states bronze."""
    monkeypatch.delenv("ASSISTANT_DATABASE", raising=False)
    made = Project(full(), tmp_path)
    rows = [
        {"tag_id": tag, "facet": "materials", "path": VOCABULARY.path(tag), "depth": 1, "n_images": 10}
        for tag in VOCABULARY.terms
    ]
    stated = [{"record_id": "/1/a", "facet": "materials", "tag_id": GLASS, "stated": True}]
    for table, frame in ((TAGS, TAGS.frame(rows)), (RECORD_TAGS, RECORD_TAGS.frame(stated))):
        table.write(frame, made.path(table.name))
        made.remember(table.name, "given", {})
    return made


def run(project: Project) -> dict[str, pl.DataFrame]:
    """The three assets' tables."""
    made = dg.materialize([cataloguer_decisions, corrections, rejected_tags], resources={"project": project})
    assert made.success
    names = ("cataloguer_decisions", "corrections", "rejected_tags")
    return {name: TABLES[name].read(project.path(name)) for name in names}


def test_decisions_reach_corrections_and_negatives(project: Project):
    assert {name: table.height for name, table in run(project).items()} == {
        "cataloguer_decisions": 0, "corrections": 0, "rejected_tags": 0,
    }  # fmt: skip
    assert not (project.storage / "assistant").exists()  # looking does not make a store

    store = Store(f"sqlite:///{project.storage / 'assistant' / 'assistant.sqlite'}")
    image = store.add_image(NewImage("a" * 64, 9, 9, record_id="/1/a", source="dataset")).image_id
    upload = store.add_image(NewImage("b" * 64, 9, 9)).image_id
    showing = store.record_showing(image, "softmax@abc", {"materials": [[METAL, 0.75]]})
    store.decide(image, METAL, "reject", Act("anna", 0, "key-one", showing_id=showing, clicks=2), VOCABULARY)
    store.decide(image, GLASS, "accept", Act("anna", 1, "key-two"), VOCABULARY)
    store.decide(upload, GLASS, "reject", Act("anna", 0, "key-three"), VOCABULARY)

    tables = run(project)
    decided = tables["cataloguer_decisions"].sort("record_id", "accepted", nulls_last=True)
    assert decided.select("record_id", "tag_id", "accepted", "who", "model", "score", "rank", "clicks").rows() == [
        ("/1/a", METAL, False, "anna", "softmax@abc", 0.75, 1, 2),
        ("/1/a", GLASS, True, "anna", None, None, None, 0),
        (None, GLASS, False, "anna", None, None, None, 0),
    ]
    assert tables["corrections"].select("record_id", "tag_id", "action", "who", "source").rows() == [
        ("/1/a", GLASS, "add", "anna", "cataloguer_decisions"),
        ("/1/a", METAL, "remove", "anna", "cataloguer_decisions"),
    ]
    negatives = [("/1/a", "materials", METAL, True), ("/1/a", "materials", BRONZE, False)]
    assert tables["rejected_tags"].rows() == negatives

    store.undo(image, Act("anna", 2, "key-four"))
    assert run(project)["corrections"]["action"].to_list() == ["remove"]
    store.undo(image, Act("anna", 3, "key-five"))
    assert run(project)["rejected_tags"].is_empty()
    store.close()


def test_nothing_is_read_again_while_nobody_decides(project: Project):
    run(project)
    again = dg.materialize([cataloguer_decisions, corrections, rejected_tags], resources={"project": project})
    reused = [event.materialization.metadata["reused"].value for event in again.get_asset_materialization_events()]
    assert reused == [True, True, True]


def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(project, monkeypatch):
    monkeypatch.setenv("ASSISTANT_DATABASE", "postgresql+psycopg://desk:secret@127.0.0.1:9/desk")
    result = dg.materialize([cataloguer_decisions], resources={"project": project}, raise_on_error=False)
    [failed] = [event for event in result.all_events if event.is_step_failure]
    said = str(failed.step_failure_data.error) + str(failed.step_failure_data.user_failure_data)
    assert "does not answer" in said
    assert "secret" not in said
