"""Records a second of a whole harvest against pyeuropeana, on one server that answers after 200 ms, and at once.

Both walk the same synthetic collection by cursor, profile rich, pages of 100. Ours also checks every answer, takes the
key out and writes the raw pages to disk; pyeuropeana keeps the items in memory and walks in one chain.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peer import peer_python, version
from pipeline.harvest.europeana import EuropeanaClient
from pipeline.harvest.pages import harvest_collection
from pipeline.http import HttpClient
from pipeline.settings import HarvestSettings, HttpSettings

RECORDS = 40_000
REPEATS = 2
LATENCY_S = 0.2

# pyeuropeana has its address as a literal inside the function, so requests.get is told where to go instead.
PEER = """
import json, os, resource, sys, time, requests
url, records = sys.argv[1], int(sys.argv[2])
get = requests.get
requests.get = lambda address, **more: get(address.replace("https://api.europeana.eu", url), **more)
import pyeuropeana.apis as apis
started = time.perf_counter()
answer = apis.search(
    query="*", qf="TYPE:IMAGE", reusability="open", thumbnail=True, profile="rich",
    sort="europeana_id asc", rows=records,
)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"records": len({item["id"] for item in answer["items"]}), "seconds": seconds, "rss_mb": peak}))
"""


def main() -> None:
    """Print the one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    peer = peer_python("harvest")
    slow = _measure(peer, asked.records, asked.repeats, LATENCY_S)
    fast = _measure(peer, asked.records, asked.repeats, 0.0)
    ours, theirs = slow["ours"], slow["peer"]
    print(
        json.dumps(
            {
                "name": "harvest",
                "n": asked.records,
                "ours_s": round(ours["seconds"], 2),
                "peer": "pyeuropeana",
                "peer_version": version("harvest"),
                "peer_s": round(theirs["seconds"], 2),
                "ratio": round(theirs["seconds"] / ours["seconds"], 2),
                "ours_rss_mb": round(ours["rss_mb"]),
                "peer_rss_mb": round(theirs["rss_mb"]),
                "note": f"{_note(asked.records, asked.repeats, slow)}; answers at once: {_ratio(fast)}",
            }
        )
    )


def _note(records: int, repeats: int, measured: dict[str, dict]) -> str:
    ours, theirs = measured["ours"], measured["peer"]
    rates = " against ".join(f"{records / side['seconds']:.0f}" for side in (ours, theirs))
    return (
        f"answers after {LATENCY_S * 1000:.0f} ms, median of {repeats}: {rates} records/s"
        f" (ours {ours['range']}, peer {theirs['range']} s), {HarvestSettings().chains} chains,"
        f" our limit of {HttpSettings().requests_per_second:g} requests/s lifted"
    )


def _ratio(measured: dict[str, dict]) -> str:
    ours, theirs = measured["ours"]["seconds"], measured["peer"]["seconds"]
    return f"ratio {theirs / ours:.2f} ({ours:.2f} against {theirs:.2f} s)"


def _measure(peer: Path, records: int, repeats: int, latency_s: float) -> dict[str, dict]:
    """Both sides against one server in a process of its own, turn about; the median time of each."""
    command = [sys.executable, "-m", "tests.support", str(records), "--port", "0", "--latency", str(latency_s)]
    environment = {**os.environ, "EUROPEANA_API_KEY": "benchmark-key", "NO_PROXY": "127.0.0.1"}
    runs: dict[str, list[dict]] = {"ours": [], "peer": []}
    with subprocess.Popen([*command, "--preserialised"], stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise SystemExit("The benchmark's server has no output.")
        url = server.stdout.readline().split()[-1]
        for _ in range(repeats):
            for name, side in (
                ("ours", [sys.executable, "-m", "benchmarks.harvest", "ours", url]),
                ("peer", [str(peer), "-c", PEER, url, str(records)]),
            ):
                done = subprocess.run(side, env=environment, check=True, stdout=subprocess.PIPE, text=True)
                runs[name].append(json.loads(done.stdout))
        server.terminate()
    for name, found in runs.items():
        if {run["records"] for run in found} != {records}:
            raise SystemExit(f"{name} brought {[run['records'] for run in found]} of {records} records.")
    return {name: _median(found) for name, found in runs.items()}


def _median(runs: list[dict]) -> dict:
    seconds = sorted(run["seconds"] for run in runs)
    return {
        "seconds": statistics.median(seconds),
        "range": f"{seconds[0]:.2f} to {seconds[-1]:.2f}",
        "rss_mb": max(run["rss_mb"] for run in runs),
    }


def ours(url: str) -> None:
    """One harvest into a folder that is thrown away."""
    settings = HarvestSettings()
    http = HttpSettings(hosts={"*": url}, requests_per_second=1e9)
    with (
        tempfile.TemporaryDirectory() as folder,
        EuropeanaClient(HttpClient(http), settings, os.environ["EUROPEANA_API_KEY"]) as client,
    ):
        started = time.perf_counter()
        summary = harvest_collection(client, "*", Path(folder) / "everything", settings)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"records": summary.received, "seconds": seconds, "rss_mb": peak}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours(sys.argv[2])
    else:
        main()
