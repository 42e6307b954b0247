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
from ml.baselines import PAPER_ROWS
from pipeline.published.format import SPLIT_FILES, as_published, read_official_splits, write_published
from pipeline.published.relinks import addresses_of, may_be_passed_on
from pipeline.release.pack import verify_checksums
from pipeline.sandbox.published.world import render_published
from pipeline.settings import CurationSettings
from pipeline.splits.invariants import groups_in_two_splits
from pipeline.tables import FETCHES, PUBLISHED_ALIGNMENT, RELINKS, RESULTS, SPLIT_TABLE, TABLES, TAGS
from tests.support.museum_server import running
from tests.support.published import write_cut, write_museum, write_rows

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
    assert keys - known == {
        *("splits_mended", "split_tags_mended", "leaks", "split_sizes", "paper_figures", "mended/dataset"),
        *("published_rows", "source/published_files"),
        *("relinks", "published_alignment"),
        *(f"mended/{key}" for key in known if key.startswith(("models/", "predictions/"))),
    }
    assert {key for key in known - keys if "/" not in key} == {
        *("pages", "history"),
        *("candidate_record_tags", "selection_report", "ignored_corrections", "removed_candidates"),
        *("rule_effects", "curation_report", "removed_tags"),
    }


@pytest.fixture(scope="module")
def museum(drawn_museum: Callable[[int], Path]) -> Path:
    return drawn_museum(120)


def run(
    museum: Path, folder: Path, home: Path, job: str = "benchmark", **more: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """`eufcc run` on published files, whose pictures the museum serves; also the storage."""
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "dagster_home" / "dagster.yaml", home)
    command = [Path(sys.executable).with_name("eufcc"), "run", job]
    with running(museum) as address:
        environment = official(folder, home) | SMALL | more | {"EUFCC__HTTP__HOSTS": json.dumps({"*": address})}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    (storage,) = (home / "storage").glob("full-published-*")
    return storage, done


def check_report_and_release(storage: Path) -> None:
    """The report has the paper's tables and the leaks; the mended splits have none; nothing without rights is out."""
    page = (storage / "report" / "report.html").read_text(encoding="utf-8")
    assert '<section id="published">' in page
    assert '<div class="leaks">' in page
    mended = TABLES["splits_mended"].read(storage / "splits_mended.parquet")
    assert groups_in_two_splits(mended) == []
    sizes = TABLES["split_sizes"].read(storage / "split_sizes.parquet")
    moved = int(sizes["left_out"].sum())
    for row in sizes.iter_rows(named=True):
        assert abs(row["mended"] - row["pictures"]) <= (moved if row["split"] == "train" else 0.01 * row["pictures"])
    figures = TABLES["paper_figures"].read(storage / "paper_figures.parquet")
    assert set(figures["splits"]) == {"published", "without_leaks", "mended"}
    assert verify_checksums(storage / "release") == []
    passed = may_be_passed_on(RELINKS.read(storage / "relinks.parquet"), CurationSettings().open_rights)
    in_splits = mended.filter(pl.col("split") != "left_out")
    released = pl.read_parquet(storage / "release" / "data" / "*.parquet", columns=["record_id"])["record_id"]
    assert 0 < released.len() < mended.height
    assert set(released) == set(in_splits.join(passed, on="record_id", how="semi")["record_id"])
    card = (storage / "release" / "README.md").read_text(encoding="utf-8")
    unknown = mended.height - in_splits.join(passed, on="record_id", how="semi").height
    assert sum(int(n) for n in re.findall(r"\| left out: .* \| (\d+) \|", card)) == unknown


def check_round_trip(storage: Path, folder: Path, lost: set[str], again: Path) -> None:
    """The stored tables give the files back byte for byte, without the rows whose picture could not be had."""
    names = ("splits", "records", "record_tags", "tags")
    tables = {name: TABLES[name].read(storage / f"{name}.parquet") for name in names}
    written = TABLES["published_rows"].read(storage / "published_rows.parquet")
    again.mkdir()
    for file in write_published(as_published(**tables, written=written), again):
        had = [
            line
            for line in (folder / file.name).read_text(encoding="utf-8").splitlines(keepends=True)
            if line.partition(",")[0] not in lost
        ]
        assert file.read_bytes() == "".join(had).encode()


@pytest.mark.long
@pytest.mark.xdist_group("official")
def test_four_hundred_rows_give_every_row_of_the_benchmark(shared: Path, tmp_path: Path):
    """The published sample, cut into the four files, or made rows; all of the paper's rows with the demo's networks."""
    sample = shared / "eufcc" / "inner_test_sample.csv"
    if not sample.exists():
        write_rows(tmp_path / "made", {"inner_test": 400})
        sample = tmp_path / "made" / SPLIT_FILES["inner_test"]
    folder, museum = tmp_path / "csvs", tmp_path / "museum"
    rows = write_cut(sample, folder, copies=8)
    render_published(folder, museum)
    all_rows = {"EUFCC__BENCHMARK__ROWS": "[]", "EUFCC__BENCHMARK__OVERRIDES": "{}"}
    storage, done = run(museum, folder, tmp_path / "home", **all_rows)
    assert done.returncode == 0, done.stderr
    sizes = TABLES["split_sizes"].read(storage / "split_sizes.parquet")
    assert dict(sizes.select("split", "rows").iter_rows()) == rows
    read = read_official_splits(folder)
    published = addresses_of(read.rows.join(read.stated, on=["split", "row"], how="semi"))  # no test asks for others
    lost = set(published["record_id"]) - set(SPLIT_TABLE.read(storage / "splits.parquet")["record_id"])
    planted = pl.read_csv(museum / "planted.csv").filter(fault="gone")["address"]
    assert lost == set(published.filter(pl.col("address").is_in(planted.implode()))["record_id"])
    untagged = set(read.rows["record_id"]) - set(published["record_id"])
    assert (sizes["rows"] - sizes["pictures"]).sum() == len(lost | untagged)
    leaks = TABLES["leaks"].read(storage / "leaks.parquet")
    assert leaks.filter(how="same_bytes")["group_id"].n_unique() >= 8 - len(lost)
    figures = TABLES["paper_figures"].read(storage / "paper_figures.parquet")
    assert set(figures.filter(splits="mended")["baseline"]) == {row.key for row in PAPER_ROWS}
    check_report_and_release(storage)
    check_round_trip(storage, folder, lost | untagged, tmp_path / "again")


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
    assert "Pictures that could not be had, by reason" in done.stderr
    assert re.search(r"placeholder \d", done.stderr)
    assert relinks.filter(status="found")["same_provider"].all()
    alignment = PUBLISHED_ALIGNMENT.read(storage / "published_alignment.parquet")
    assert set(alignment.drop_nulls("concept_id")["how"]) >= {"votes"}
    labels = TAGS.read(storage / "tags.parquet").explode("labels").unnest("labels")
    assert {"ca", "en"} <= set(labels["language"])
    groups = splits.filter(pl.col("record_id").is_in(["leak", lines[1].partition(",")[0]]))
    assert groups["group_id"].n_unique() == 1
    assert groups["split"].sort().to_list() == ["inner_test", "train"]
    results = RESULTS.read(storage / "results.parquet").filter(baseline="multilabel")
    assert set(results["split"]) == {"inner_test", "outer_test"}
    check_report_and_release(storage)
    check_round_trip(storage, folder, set(lost), tmp_path / "again")
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
