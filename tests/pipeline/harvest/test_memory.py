"""Memory does not grow with the number of records: 100,000 take hardly more than 10,000."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.museum_server import running
from tests.support.synthetic import SyntheticMuseum

ROOT = Path(__file__).parents[3]

# Harvest, then the table, in a process of its own; it prints its own peak.
PROGRAM = """
import json, sys
from pathlib import Path
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.harvest.pages import harvest_collection
from pipeline.harvest.records import write_records
from pipeline.http import HttpClient
from pipeline.settings import HarvestSettings, HttpSettings
def peak_mb():  # ru_maxrss counts what the parent had when it started this process
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
settings = HarvestSettings()
http = HttpSettings(hosts={"*": sys.argv[1]}, requests_per_second=1e9)
folder = Path(sys.argv[2])
with EuropeanaClient(HttpClient(http), settings, None) as client:
    summary = harvest_collection(client, "*", folder / "pages" / "everything", settings)
harvested = peak_mb()
write_records(folder / "pages", folder / "records.parquet", settings)
told = {"records": summary.received, "seconds": summary.seconds, "harvested_mb": harvested, "peak_mb": peak_mb()}
print(json.dumps(told))
"""


def measured(records: int, folder: Path) -> dict[str, float]:
    with running(SyntheticMuseum(records)) as url:
        command = [sys.executable, "-c", PROGRAM, url, str(folder)]
        return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.long
def test_a_hundred_thousand_records_take_hardly_more_memory_than_ten_thousand(tmp_path):
    few, many = measured(10_000, tmp_path / "few"), measured(100_000, tmp_path / "many")
    print(f"10,000: {few}; 100,000: {many}")
    assert (few["records"], many["records"]) == (10_000, 100_000)
    assert many["peak_mb"] < 1000
    assert many["peak_mb"] - few["peak_mb"] < 50
