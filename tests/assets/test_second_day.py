"""The second day of a data engineer: a file that the settings name has other bytes, and the next run obeys it."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.engine.project import ROOT
from pipeline.tables import FETCHES, IMAGES, TABLES
from tests.assets.conftest import forking
from tests.support.museum_server import running

pytestmark = pytest.mark.xdist_group("second_day")  # one worker makes all runs
FILES = {"IMAGES__TAKEDOWN_FILE": "down.txt", "CURATION__CORRECTIONS_FILE": "corrections.csv"}
SMALL = {
    "HARVEST__COLLECTIONS": ["*"],
    "CURATION__MIN_IMAGES_PER_TAG": 2,
    "IMAGES__SLICES": 2,
    "FEATURES__IMAGE_SIZE": 75,
}


def test_the_bytes_of_a_named_file_count(days: "Days"):
    """A take-down, a correction, a rule: under the same paths as the day before."""
    assert "images" in days.unchanged("same")
    told = days.unchanged("changed")
    for name in ("images", "fetches", "corrections", "ignored_corrections", "rule_effects"):
        assert name not in told, name
    assert "records" in told
    assert "cataloguer_decisions" in told


@pytest.mark.parametrize("run", ["splits", "changed"])
def test_a_new_takedown_is_obeyed_by_any_job(days: "Days", run: str):
    storage = days.storage(run)
    images = IMAGES.read(storage / "images", ["record_id"])["record_id"]
    assert days.victim in set(IMAGES.read(days.storage("first") / "images", ["record_id"])["record_id"])
    assert days.victim not in set(images)
    made_by_splits = ("splits", "provider_distances") if run == "splits" else ()
    for name in ("groups", "record_tags", *made_by_splits):
        table = TABLES[name].read(storage / f"{name}.parquet")
        assert "record_id" not in table.columns or days.victim not in set(table["record_id"]), name
    if run == "splits":
        shards = sorted((storage / "dataset").rglob("*.parquet"))
        assert days.victim not in set(
            pl.concat(pl.read_parquet(file, columns=["record_id"]) for file in shards)["record_id"]
        )
        assert "the take-down list has changed: the job dataset removes what it names" in days.err(run)


def test_what_was_taken_down_is_counted(days: "Days"):
    for run, count in (("first", 0), ("splits", 1)):
        notes = sorted((days.storage(run) / ".made" / "images").glob("*.json"))
        assert sum(json.loads(note.read_text())["metadata"]["taken_down"] for note in notes) == count
    reasons = FETCHES.read(days.storage("splits") / "fetches", ["reason"])["reason"].drop_nulls().to_list()
    assert "taken_down" in reasons


def test_what_was_made_before_is_named(days: "Days"):
    """The dataset of the day before still holds the picture; the run that leaves it says so."""
    assert "made before the take-down list changed, and may hold what it names: dataset, " in days.err("changed")
    assert "may hold what it names" not in days.err("splits").replace("release", "")


def test_a_table_changed_by_hand_stops_the_run(days: "Days"):
    """It is valid Parquet with another number in it: nothing is made from it."""
    said = days.err("tampered")
    assert "tags is not what was stored: it was changed by hand or by another program." in said
    assert f"delete {days.storage('tampered') / 'tags.parquet'} and run the job that makes it" in " ".join(said.split())
    assert not (days.storage("tampered") / "splits.parquet").exists()


def test_hours_of_work_for_another_version_are_not_begun_without_a_word(days: "Days"):
    said = " ".join(days.err("older").split())
    assert "The code has changed since splits" in said
    assert "took up to 2 h" in said
    assert "add --yes to go on" in said
    assert "✓" not in said
    assert " splits " in days.err("older_yes")


class Days:
    """The runs, by name."""

    def __init__(self, folder: Path, victim: str) -> None:
        self.folder, self.victim = folder, victim

    def err(self, name: str) -> str:
        return (self.folder / f"{name}.err").read_text(encoding="utf-8")

    def storage(self, name: str) -> Path:
        (storage,) = (self.folder / name / "storage").glob("demo-*")
        return storage

    def unchanged(self, name: str) -> set[str]:
        """The assets that a run left as they were."""
        return {line.split()[1] for line in self.err(name).splitlines() if line.endswith("unchanged")}


def check_codes(folder: Path, *failing: str) -> None:
    """All runs so far succeeded, but for those that fail."""
    codes = {file.stem: file.read_text() for file in folder.glob("*.code")}
    for name, code in codes.items():
        assert (code != "0") == (name in failing), (folder / f"{name}.err").read_text(encoding="utf-8")


def by_hand(days: Days, name: str) -> None:
    """A copy of the first day in which a count in `tags` was changed, and the splits are to be made anew."""
    shutil.copytree(days.folder / "first", days.folder / name)
    table = TABLES["tags"]
    file = days.storage(name) / "tags.parquet"
    table.write(table.read(file).with_columns(n_images=pl.col("n_images") + 1), file)
    (days.storage(name) / "splits.parquet").unlink()


def other_version(days: Days, name: str) -> None:
    """A copy of the first day whose splits were made by other code, in two hours."""
    shutil.copytree(days.folder / "first", days.folder / name)
    for table in ("splits", "split_tags"):
        file = days.storage(name) / ".made" / f"{table}.json"
        note = json.loads(file.read_text(encoding="utf-8"))
        note |= {"fingerprint": "other", "longest": 7_200.0, "depends": note["depends"] | {"code": "other"}}
        file.write_text(json.dumps(note), encoding="utf-8")


@pytest.fixture(scope="session")
def days(drawn_museum, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """A first day with all tables up to the splits; a second one with other bytes in the files, job by job."""
    museum, folder = drawn_museum(60), tmp_path_factory.mktemp("days")
    files = {name: folder / file for name, file in FILES.items()}
    files["VOCABULARY__RULES_FILE"] = rules = folder / "rules.toml"
    rules.write_text((ROOT / "pipeline" / "vocabulary" / "rules.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "down.txt").write_text("# nothing yet\n", encoding="utf-8")
    (folder / "corrections.csv").write_text("record_id,tag_id,action,reason,who,date\n", encoding="utf-8")
    with running(museum) as address, forking(folder) as make:
        environment = {"MUSEUM": str(museum), "MUSEUM_ADDRESS": address, "COLUMNS": "300"}
        environment |= {f"EUFCC__{name}": str(file) for name, file in files.items()}
        environment |= {f"EUFCC__{name}": json.dumps(value) for name, value in SMALL.items()}

        def run(name: str, job: str, like: str | None = None, *options: str) -> dict[str, Any]:
            made = {"name": name, "arguments": ["run", job, *options], "environment": environment}
            return made | ({"like": like} if like else {})

        make(run("dataset", "dataset"))
        make(run("first", "splits", like="dataset"))
        check_codes(folder)
        days = Days(folder, "")
        days.victim = TABLES["splits"].read(days.storage("first") / "splits.parquet")["record_id"][0]
        by_hand(days, "changed_by_hand")
        other_version(days, "other_version")
        others = [run("same", "dataset", "first"), run("older_yes", "splits", "other_version", "--yes")]
        failing = [run("tampered", "splits", "changed_by_hand"), run("older", "splits", "other_version")]
        make(*others, *failing)
        (folder / "down.txt").write_text(f"# nothing yet\n{days.victim}\n", encoding="utf-8")
        with (folder / "corrections.csv").open("a", encoding="utf-8") as file:
            file.write("/1/nowhere,300010957,add,seen,anna,2026-08-02\n")
        with rules.open("a", encoding="utf-8") as file:
            file.write('\n[[cut]]\nid = "300000001"\nlabel = "nothing"\nreason = "a new rule"\n')
        make(run("splits", "splits", like="first"), run("changed", "dataset", like="first"))
    check_codes(folder, "tampered", "older")
    return days
