"""The rehearsal: its museum has the paper's shape, costs are added up rightly, and a small one comes to its end."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from assets.engine.project import ROOT
from pipeline.sandbox.folder import MuseumFolder
from pipeline.sandbox.query import Search
from pipeline.settings import PUBLISHED_COLLECTIONS
from tests.rehearsal.museum import make_museum, turn_to_second_day
from tests.rehearsal.plan import FAULTS, PROVIDERS, TREES, Plan
from tests.rehearsal.watch import Sample, Span, costs

PAPER = 346_324


@pytest.fixture(scope="session")
def folder(once) -> Path:
    """A museum of 200 records."""
    return once("rehearsal_museum", lambda place: make_museum(place / "museum", 200)) / "museum"


def test_the_plan_has_the_shape_of_the_paper():
    plan = Plan(PAPER)
    sizes = Counter(plan.provider.tolist())
    assert len(sizes) == PROVIDERS
    assert 35_000 <= max(sizes.values()) <= 45_000
    assert min(sizes.values()) == 1
    assert any(0.02 <= size / plan.everything <= 0.05 for size in sizes.values())  # for the outer test
    assert sum(1 for fault in plan.fault if fault) / plan.everything == pytest.approx(sum(FAULTS.values()), rel=0.05)
    tags = sum(len(set(plan.drawn(facet, 20).tolist())) for facet in TREES)
    assert 1_150 <= tags <= 1_250


def test_the_museum_can_be_served(folder: Path):
    museum = MuseumFolder(folder)
    assert len(museum) == 200
    found = {position for name in PUBLISHED_COLLECTIONS for position in museum.find(Search(query=name))}
    assert len(found) == 200
    faulty = sum(1 for fault in Plan(200).fault[:200] if fault == "gone")
    assert len(museum.media) == Plan(200).everything - sum(1 for fault in Plan(200).fault if fault == "gone")
    assert faulty <= 20


def test_the_second_day_differs_in_a_few_records(folder: Path, tmp_path: Path):
    first = (folder / "records.jsonl").read_text().splitlines()
    (tmp_path / "second_day.jsonl").write_bytes((folder / "second_day.jsonl").read_bytes())
    turn_to_second_day(tmp_path)
    second = (tmp_path / "records.jsonl").read_text().splitlines()
    assert 0 < len(set(second) - set(first)) < 20
    assert {json.loads(line)["timestamp_update"][:7] for line in set(second) - set(first)} == {"2026-10"}


def test_costs_are_those_of_the_last_making_with_the_kills_before_it():
    samples = [Sample(10.0, 5.0, 100_000_000, 3), Sample(20.0, 15.0, 300_000_000, 7), Sample(30.0, 18.0, 50_000_000, 7)]
    making = [Span("images", 10.5, 25.0, "killed"), Span("images", 26.0, 30.0)]
    usual = {"killed_s": 9.5, "cpu_s": 13.0, "peak_mb": 300, "requests": 4, "attempts": 2}  # last seen at 20.0
    assert costs(making, samples)["images"] == {"wall_s": 13.5, **usual}
    earlier = [Span("images", 1.0, 5.0, "killed"), Span("images", 5.0, 9.0), Span("images", 9.0, 9.5, "reused")]
    assert costs([*earlier, *making, Span("images", 31.0, 31.2, "reused")], samples)["images"] == {
        "wall_s": 13.5, **usual,
    }  # fmt: skip


@pytest.mark.long
def test_a_rehearsal_of_5000_ends(tmp_path: Path):
    """Every part: the killed run has the hashes of the other, and what was measured is in the file."""
    command = [sys.executable, "-m", "tests.rehearsal", "--size", "5000", "--folder", f"{tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3_600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = json.loads((tmp_path / "rehearsal.json").read_text())["parts"]
    assert len(parts["killed"]["kills"]) == 6
    assert parts["killed"]["release"] == parts["run"]["release"]
    assert parts["run"]["peak_mb"] < 8_000
    assert parts["refresh"]["steps"]["pages"]["requests"] < parts["run"]["steps"]["pages"]["requests"]
