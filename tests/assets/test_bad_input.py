"""Bad input ends in one clear sentence that says what to do, and what was good before stays good."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.assets.conftest import WRONG_KEY, Runs

TABLES = ("records", "tombstones", "concepts", "concept_alignments", "unmapped_concepts", "selected_records")

pytestmark = pytest.mark.xdist_group("runs")  # one worker makes all runs


def test_no_museum_folder(runs: Runs):
    said = runs.said("no_museum")
    assert "there is no museum folder" in said
    assert "Give the path of a folder in the museum format" in said
    assert runs.tables("no_museum") == {}


def test_a_broken_line_in_the_museum_is_told_with_its_number(runs: Runs):
    said = runs.said("broken_line")
    assert "records.jsonl" in said
    assert "line 3" in said
    assert runs.tables("broken_line") == {}


def test_a_port_in_use(runs: Runs):
    said = runs.said("port")
    assert "in use" in said
    assert "--port" in said
    assert runs.tables("port") == {}


def test_an_empty_harvest(runs: Runs):
    said = runs.said("nothing_open")
    assert "finds no open record with an image" in said
    assert runs.tables("nothing_open") == {}


def test_a_missing_key(runs: Runs):
    said = runs.said("no_key")
    assert said.startswith("pages: EUROPEANA_API_KEY is not set: put your Europeana API key into that")
    assert runs.tables("no_key") == {}


def test_a_wrong_key(runs: Runs):
    said = runs.said("wrong_key")
    assert said.startswith("pages: Europeana does not accept the key in EUROPEANA_API_KEY: check it at https://")
    assert WRONG_KEY not in said
    assert runs.tables("wrong_key") == {}


def test_no_network(runs: Runs):
    said = runs.said("no_network")
    assert "api.europeana.eu" in said
    assert "has not answered once in" in said
    assert "`eufcc doctor` looks at them." in said
    assert said.endswith("`eufcc run --wait` keeps trying.")
    assert runs.tables("no_network") == {}


def test_an_unknown_keyword(runs: Runs):
    said = runs.said("keyword")
    assert "for the keyword 'furnituer': check its spelling" in said
    assert runs.tables("keyword") == {}


def test_an_unreachable_sparql_endpoint(runs: Runs):
    said = runs.said("no_sparql")
    assert "vocab.getty.edu/sparql" in said
    assert said.endswith("`eufcc run --wait` keeps trying. Or get the AAT as a dump: `eufcc fetch-aat`.")
    assert {"records", "tombstones"} <= set(runs.tables("no_sparql"))
    assert not {"concepts", "concept_alignments", "unmapped_concepts"} & set(runs.tables("no_sparql"))


def test_a_good_run_fails_only_where_this_machine_may_not_be_asked_for_images(runs: Runs):
    """Under the full profile the guard lets nobody fetch from a private address: the tables before are good."""
    assert "usable images of" in runs.said("good")
    assert set(TABLES) <= set(runs.tables("good"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("key_later", "does not accept the key in EUROPEANA_API_KEY"),
        ("rules", "rules.toml: line 4: [[cut]] needs 'reason'"),
        ("cyclic", "The preferred parents run in a circle: 300264092 -> "),
    ],
)
def test_the_previous_good_tables_stay_when(name: str, sentence: str, runs: Runs):
    assert sentence in runs.said(name)
    before, after = runs.tables("good"), runs.tables(name)
    assert {table: after[table] for table in TABLES} == {table: before[table] for table in TABLES}


def test_nothing_is_left_half_written(runs: Runs):
    names = [file.stem for file in runs.folder.glob("*.code")]
    assert len(names) == 13
    assert {name: found for name in names if (found := runs.leftovers(name))} == {}


def test_the_command_itself_ends_with_one_sentence(tmp_path: Path):
    """No fork: the program that a person starts, from its first import."""
    command = Path(sys.executable).with_name("eufcc")
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path), "MUSEUM": str(tmp_path / "nowhere")}
    done = subprocess.run([command, "demo"], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("✗") == 1
