"""The published CSV files in place of a harvest: EUFCC_PROFILE=official."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from assets.engine.project import ROOT
from pipeline.published.format import SPLIT_FILES, read_official_splits
from pipeline.tables import FETCHES, RELINKS, RESULTS, SPLIT_TABLE
from tests.support.museum_server import running
from tests.support.published import write_museum

GRAPH = """
from assets.definitions import defs
graph = defs.get_repository_def().asset_graph
print(*sorted(key.to_user_string() for key in graph.get_all_asset_keys()))
"""
SMALL = {
    "EUFCC__HTTP__REQUESTS_PER_SECOND": "500",
    "EUFCC__HTTP__ATTEMPTS": "2",
    "EUFCC__HTTP__BACKOFF_FIRST_S": "0.01",
    "EUFCC__IMAGES__SLICES": "2",
    "EUFCC__IMAGES__ALLOWED_ADDRESSES": '["127.0.0.0/8"]',
    "EUFCC__FEATURES__EXTRACTORS": '["random-inception"]',
    "EUFCC__FEATURES__IMAGE_SIZE": "96",
    "EUFCC__SPLITS__KID_SUBSET": "20",
    "EUFCC__SPLITS__BOOTSTRAP": "5",
    "EUFCC__BENCHMARK__ROWS": '["multilabel"]',
    "EUFCC__BENCHMARK__RECIPES": "demo",
    "EUFCC__BENCHMARK__OVERRIDES": '{"epochs": "2"}',
}


def official(folder: Path, home: Path) -> dict[str, str]:
    return os.environ | {"EUFCC_PROFILE": "official", "PUBLISHED": str(folder), "DAGSTER_HOME": str(home)}


def test_the_graph_has_the_same_keys_but_those_that_the_files_cannot_fill_and_its_own(tmp_path: Path):
    from assets.definitions import defs

    known = {key.to_user_string() for key in defs.get_repository_def().asset_graph.get_all_asset_keys()}
    command = [sys.executable, "-W", "error", "-c", GRAPH]
    done = subprocess.run(
        command, env=official(tmp_path, tmp_path), capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    keys = set(done.stdout.split())
    assert keys - known == {"relinks", "splits_mended", "split_tags_mended", "leaks", "split_sizes"}
    assert {key for key in known - keys if "/" not in key} == {
        *("pages", "concepts", "concept_alignments", "unmapped_concepts", "history", "release"),
        *("candidate_record_tags", "selection_report", "ignored_corrections", "removed_candidates"),
        *("rule_effects", "curation_report", "removed_tags"),
    }


@pytest.fixture(scope="module")
def museum(drawn_museum: Callable[[int], Path]) -> Path:
    return drawn_museum(120)


def run(
    museum: Path, folder: Path, home: Path, job: str = "benchmark"
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """`eufcc run` on published files, whose pictures the museum serves; also the storage."""
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    command = [Path(sys.executable).with_name("eufcc"), "run", job]
    with running(museum) as address:
        environment = official(folder, home) | SMALL | {"EUFCC__HTTP__HOSTS": json.dumps({"*": address})}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    (storage,) = (home / "storage").glob("full-published-*")
    return storage, done


@pytest.mark.long
@pytest.mark.xdist_group("official")
def test_one_command_makes_the_results_of_the_published_splits(museum: Path, tmp_path: Path):
    folder = tmp_path / "csvs"
    rows = write_museum(museum, folder, gone=2)
    lines = (folder / SPLIT_FILES["train"]).read_text(encoding="utf-8").splitlines()
    with (folder / SPLIT_FILES["inner_test"]).open("a", encoding="utf-8") as file:
        file.write("leak" + lines[1][lines[1].index(",") :] + "\n")  # a picture that is trained on
    storage, done = run(museum, folder, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    published = read_official_splits(folder).rows.select("record_id", "split")
    splits = SPLIT_TABLE.read(storage / "splits.parquet")
    assert splits.join(published, on=["record_id", "split"], how="anti").is_empty()
    lost = published.join(splits, on="record_id", how="anti")["record_id"].to_list()
    assert {"gone_0", "gone_1"} <= set(lost)
    failed = FETCHES.read(storage / "fetches").filter(~pl.col("state").is_in(["fetched", "unchanged"]))
    assert failed["reason"].null_count() == 0
    assert len(lost) <= 4 < sum(rows.values())
    relinks = RELINKS.read(storage / "relinks.parquet")
    statuses = dict(relinks.select("record_id", "status").iter_rows())
    assert {name for name, status in statuses.items() if status != "found"} == {"gone_0", "gone_1"}
    assert statuses["gone_0"] == "gone"
    assert relinks.filter(status="found")["same_provider"].all()
    groups = splits.filter(pl.col("record_id").is_in(["leak", lines[1].partition(",")[0]]))
    assert groups["group_id"].n_unique() == 1
    assert groups["split"].sort().to_list() == ["inner_test", "train"]
    results = RESULTS.read(storage / "results.parquet").filter(baseline="multilabel")
    assert set(results["split"]) == {"inner_test", "outer_test"}
    assert (storage / "report" / "report.html").stat().st_size
    fetched = FETCHES.read(storage / "fetches").filter(state="fetched")
    assert fetched.height
    assert run(museum, folder, tmp_path / "home", "dataset")[1].returncode == 0
    assert FETCHES.read(storage / "fetches").filter(state="fetched").equals(fetched)  # none was asked for again


@pytest.mark.long
@pytest.mark.xdist_group("official")
def test_a_training_file_and_one_test_are_enough(museum: Path, tmp_path: Path):
    folder = tmp_path / "csvs"
    write_museum(museum, folder)
    for split in ("validation", "outer_test"):
        (folder / SPLIT_FILES[split]).unlink()
    storage, done = run(museum, folder, tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert set(RESULTS.read(storage / "results.parquet")["split"]) == {"inner_test"}
    told = " ".join(done.stderr.split())
    assert "Missing: val.csv, test_ood.csv." in told
    assert re.search(r"Pictures that could be had: inner_test \d+ of \d+, train \d+ of \d+\.", told)
    (folder / SPLIT_FILES["inner_test"]).unlink()
    storage, done = run(museum, folder, tmp_path / "home")
    assert done.returncode == 1
    assert "has no picture in either test: there is nothing to score." in done.stderr
    assert "Traceback" not in done.stderr
