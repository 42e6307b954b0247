"""With every fault of the endpoints on, and killed at random points, the vocabulary ends as in a clean run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.files import sha256_of
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.harvest.items import row_of_item
from pipeline.http import HttpClient
from pipeline.sandbox.folder import MuseumFolder
from pipeline.settings import RULES_FILE, HarvestSettings, HttpSettings, VocabularySettings
from pipeline.tables import CONCEPT_ALIGNMENTS, CONCEPTS, RECORDS, UNMAPPED_CONCEPTS
from pipeline.vocabulary.align import align_concepts
from pipeline.vocabulary.facets import load_rules
from pipeline.vocabulary.source import concept_source
from tests.support.faults import BY_NAME, Faults
from tests.support.museum_server import running

ROOT = Path(__file__).parents[3]
MODES = tuple(name for name, fault in BY_NAME.items() if {"api", "sparql"} & set(fault.where))
KILLS = 20
PROGRAM = """
import sys
from pathlib import Path
from tests.pipeline.vocabulary.test_killed import align
align(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
"""


def align(url: str, records: Path, folder: Path) -> None:
    """Align the records' concepts, in many small batches, and write the three tables."""
    http = HttpSettings(
        hosts={"*": url},
        requests_per_second=1e6,
        read_timeout_s=0.4,
        backoff_first_s=0.01,
        backoff_cap_s=0.05,
        attempts=12,
    )
    settings = VocabularySettings(batch_size=3)
    with HttpClient(http) as sparql, EuropeanaClient(HttpClient(http), HarvestSettings(), None) as client:
        getty = concept_source(sparql, settings, folder / "getty")
        found = align_concepts(
            RECORDS.read(records), client.concepts, getty, settings, folder / "entities", load_rules(RULES_FILE)
        )
    CONCEPT_ALIGNMENTS.write(found.concept_alignments, folder / "concept_alignments.parquet")
    UNMAPPED_CONCEPTS.write(found.unmapped_concepts, folder / "unmapped_concepts.parquet")
    CONCEPTS.write(found.concepts, folder / "concepts.parquet")


def tables(folder: Path) -> dict[str, str]:
    return {file.name: sha256_of(file) for file in sorted(folder.glob("*.parquet"))}


def answered(folder: Path) -> int:
    """Bytes that the caches hold."""
    return sum(file.stat().st_size for file in folder.rglob("*.jsonl"))


@pytest.mark.long
def test_every_fault_and_twenty_kills_end_in_the_same_tables(drawn_museum, tmp_path: Path):
    folder = drawn_museum(60)
    museum = MuseumFolder(folder)
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{**row_of_item(json.loads(line)), "created_at": None, "updated_at": None} for line in lines]
    RECORDS.write(RECORDS.frame(rows), tmp_path / "records.parquet")
    (tmp_path / "clean").mkdir()
    with running(museum) as url:
        align(url, tmp_path / "records.parquet", tmp_path / "clean")
    faults = Faults(seed=5, modes=MODES, probability=0.3, slow_s=0.6, reset_s=0)
    faulty, moments, killed = tmp_path / "faulty", random.Random(3), 0
    faulty.mkdir()
    with running(museum, faults=faults, latency_s=0.1) as url:
        command = [sys.executable, "-c", PROGRAM, url, str(tmp_path / "records.parquet"), str(faulty)]
        while True:
            process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
            seen, until = answered(faulty), time.monotonic() + 60
            while killed < KILLS and process.poll() is None and answered(faulty) == seen and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(moments.uniform(0.0, 0.3))
            if killed == KILLS or process.poll() is not None:
                break
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        assert process.wait(timeout=300) == 0
    print(f"killed {killed} times; faults played: {dict(faults.played)}")
    assert killed == KILLS
    assert tables(faulty) == tables(tmp_path / "clean")
    assert len(tables(faulty)) == 3
