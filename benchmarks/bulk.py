"""Records a second out of Europeana's weekly zips, on one core, against rdflib, which such zips are mostly read with.

The zips hold the records of the drawn museum again and again, as the local museum serves them. In one mirror as many
have open rights as in Europeana in 2019 (24.2 of 58.1 million, dossier, section 6); in the other nearly all, so that
hardly any can be left out before it is parsed: the worst case. Ours reads, selects by the published keywords that the
museum knows, and writes the raw pages; rdflib only parses.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.peer import peer_python, version
from pipeline.harvest.bulk import harvest_dumps
from pipeline.harvest.dumps import FolderPlace
from pipeline.harvest.records import write_records
from pipeline.sandbox.dumps import edm
from pipeline.sandbox.folder import MuseumFolder
from pipeline.sandbox.query import Search
from pipeline.sandbox.render import render_museum
from pipeline.settings import OPEN_RIGHTS, PUBLISHED_COLLECTIONS, HarvestSettings

RECORDS = 30_000
PEER_RECORDS = 300
PER_ZIP = 5_000
IMAGES = 300  # drawn, and then repeated under other ids
OPEN_SHARE = 24.2 / 58.1
SHARES = {"as_is": OPEN_SHARE, "all_open": 1.0}
OPEN, CLOSED = b"http://creativecommons.org/", b"http://rightsstatements.org/vocab/InC/1.0/?"

PEER = """
import json, sys, time, zipfile, rdflib
archive = zipfile.ZipFile(sys.argv[1])
members = archive.infolist()[: int(sys.argv[2])]
started = time.process_time()
triples = 0
for member in members:
    graph = rdflib.Graph()
    graph.parse(data=archive.read(member), format="xml")
    triples += len(graph)
print(json.dumps({"records": len(members), "triples": triples, "seconds": time.process_time() - started}))
"""


def main() -> None:
    """Print the one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    asked = parser.parse_args()
    peer = peer_python("bulk")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        size, keywords = make_zips(folder, asked.records)
        command = [sys.executable, "-m", "benchmarks.bulk", "ours"]
        ours, worst = (measure([*command, str(folder / name), *keywords]) for name in ("as_is", "all_open"))
        zips = sorted((folder / "all_open").glob("*.zip"))
        theirs = measure([str(peer), "-c", PEER, str(zips[0]), str(PEER_RECORDS)])
    rate, peer_rate = ours["seen"] / ours["seconds"], theirs["records"] / theirs["seconds"]
    print(
        json.dumps(
            {
                "name": "bulk",
                "n": ours["seen"],
                "ours_s": round(ours["seconds"], 2),
                "records_per_s": round(rate),
                "peer": "rdflib",
                "peer_version": version("bulk"),
                "peer_records_per_s": round(peer_rate),
                "ratio": round(rate / peer_rate, 1),
                "note": f"CPU time of one process, {size / ours['seen']:,.0f} bytes of RDF/XML a record,"
                f" {OPEN_SHARE:.0%} with open rights, {ours['selected']:,} selected by {len(keywords)} keywords and"
                f" written as pages; all open: {worst['seen'] / worst['seconds']:,.0f} records/s,"
                f" {worst['selected']:,} selected; the table `records` from these pages:"
                f" {worst['selected'] / worst['records_seconds']:,.0f} records/s; rdflib parses {theirs['records']}",
            }
        )
    )


def make_zips(folder: Path, records: int) -> tuple[int, list[str]]:
    """Two mirrors with so many records; returns the bytes of RDF of one, and the keywords that find some."""
    render_museum(folder / "museum", images=IMAGES)
    museum = MuseumFolder(folder / "museum")
    items = [museum.item(position) for position in range(len(museum))]
    drawn = [(item["id"], edm(museum, item)) for item in items if item.get("edmPreview")]
    size = sum(write_mirror(folder / name, drawn, records, share) for name, share in SHARES.items())
    asked = {name: Search(name, reusability=("open",), thumbnail=True) for name in PUBLISHED_COLLECTIONS}
    return size // len(SHARES), [name for name, search in asked.items() if museum.find(search)]


def write_mirror(folder: Path, drawn: list[tuple[str, bytes]], records: int, open_share: float) -> int:
    """Zips with so many records, of which such a share keeps its open rights; returns the bytes of RDF."""
    folder.mkdir()
    size = 0
    for number in range(0, records, PER_ZIP):
        with zipfile.ZipFile(folder / f"{number:08d}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for at in range(number, min(number + PER_ZIP, records)):
                record_id, content = drawn[at % len(drawn)]
                content = content.replace(record_id.encode(), f"/{number:08d}/r{at}".encode())
                if int(at * open_share) == int((at + 1) * open_share):
                    content = content.replace(OPEN, CLOSED)
                archive.writestr(f"r{at}.xml", content)
                size += len(content)
    return size


def measure(command: list[str]) -> dict:
    """What the process prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict = json.loads(done.stdout)
    return found


def ours(folder: Path, keywords: list[str]) -> None:
    """One harvest, in CPU seconds of this process."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        pages = {name: Path(place) / "pages" / name.replace(" ", "_") for name in keywords}
        started = time.process_time()
        done = harvest_dumps(FolderPlace(folder), pages, HarvestSettings(), open_rights=OPEN_RIGHTS)
        seconds = time.process_time() - started
        started = time.process_time()
        write_records(Path(place) / "pages", Path(place) / "records.parquet")
        records_seconds = time.process_time() - started
        selected = pq.read_metadata(Path(place) / "records.parquet").num_rows
    found = {"seen": done.seen, "seconds": seconds, "selected": selected, "records_seconds": records_seconds}
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
