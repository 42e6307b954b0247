"""What each stage costs as records grow: seconds, memory and bytes at 1,000, 10,000 and 100,000 records, and slopes.

Each stage runs in a process of its own on made-up input of the paper's shape, with what it would be given in the
graph; compilation and imports are not counted. `vocabulary` and `training` do not grow with records in this way (a
concept is asked for once; training is a choice of epochs), so they are not here. Where a stage cannot run at a size on
this machine in reasonable time, its figure is left out and never made up; docs/scaling.md says what was extrapolated.
"""

import argparse
import io
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (1_000, 10_000, 100_000)
SEED = 340
FEATURES = 2_048  # numbers of an Inception vector
SHORT_SIDE = 128  # made-up pictures; Europeana's thumbnails are up to 400 px
LONGEST_S = 1_200
Measured = dict[str, float]


def _cpu_s() -> float:
    """Seconds of processor time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@dataclass(frozen=True)
class Started:
    """The moment a stage began."""

    clock: float = field(default_factory=time.perf_counter)
    cpu_s: float = field(default_factory=_cpu_s)


def harvest(n: int, folder: Path) -> Measured:
    """Search pages of a local server to files, then one row per record; the server answers at once."""
    from pipeline.harvest.europeana import EuropeanaClient
    from pipeline.harvest.pages import harvest_collection
    from pipeline.harvest.records import write_records
    from pipeline.http import HttpClient
    from pipeline.settings import HarvestSettings, HttpSettings
    from tests.support.museum_server import running
    from tests.support.synthetic import SyntheticMuseum

    with running(SyntheticMuseum(n), preserialised=True) as address:
        started = Started()
        http = HttpSettings(hosts={"*": address}, requests_per_second=1e6)
        settings = HarvestSettings(collections=("*",))
        with EuropeanaClient(HttpClient(http), settings, None) as client:
            harvest_collection(client, "*", folder / "pages" / "everything", settings)
        write_records(folder / "pages", folder / "records.parquet", settings)
        return _since(started, folder)


def curation(n: int, folder: Path) -> Measured:
    """Both fixed points, on records and on usable images."""
    import polars as pl

    from benchmarks.curation import synthetic_concepts, synthetic_records
    from pipeline import FACETS
    from pipeline.curation.curate import curate_usable, select_records
    from pipeline.settings import CurationSettings
    from pipeline.tables import CONCEPT_ALIGNMENTS, CORRECTIONS, RECORD_TAGS, TOMBSTONES
    from pipeline.vocabulary.facets import Rules

    random = np.random.default_rng(SEED)
    concepts = synthetic_concepts(random)
    records = synthetic_records(n, concepts, random)
    alignments = CONCEPT_ALIGNMENTS.frame(
        [
            {"uri": f"http://vocab.getty.edu/aat/{each}", "concept_id": each, "evidence": "direct", "match": "exact"}
            for each in concepts["concept_id"]
        ]
    )
    started, rules = Started(), Rules(dict.fromkeys(FACETS, ""), ())
    chosen = select_records(
        records, alignments, concepts, TOMBSTONES.empty(), CORRECTIONS.empty(), rules, CurationSettings()
    )
    ids = chosen.selected_records["record_id"]
    kept = curate_usable(
        chosen.record_tags, pl.DataFrame({"record_id": ids, "image_id": ids}), concepts, CurationSettings()
    )
    RECORD_TAGS.write(kept.record_tags, folder / "record_tags.parquet")
    return _since(started, folder)


def images(n: int, folder: Path) -> Measured:
    """Fetched from a local server, checked, stored in shards; pictures of about 5 kB, two decoding processes."""
    import polars as pl

    from pipeline.images.fetch import fetch_images
    from pipeline.settings import HttpSettings, ImageSettings

    pictures = _pictures(200)
    with _picture_server(pictures) as address:
        urls = [f"https://media.example/{number}.jpg" for number in range(n)]
        wanted = pl.DataFrame(
            {"record_id": [f"/1/{number:08d}" for number in range(n)], "view": 0, "url": urls, "fallback_url": None},
            schema_overrides={"view": pl.Int16, "fallback_url": pl.String},
        )
        http = HttpSettings(hosts={"*": address}, requests_per_second=1e6)
        started = Started()
        found = fetch_images(wanted, folder, ImageSettings(allowed_addresses=("127.0.0.0/8",)), http)
        if found.usable != n:
            raise RuntimeError(f"{found.usable} of {n} images are usable: {found.reasons}")
        return _since(started, folder)


def features(n: int, folder: Path) -> Measured:
    """The demo's random network at 96 px, on the processor, from shards to shards; Inception costs far more."""
    from ml.features.extract import extract_features
    from pipeline.settings import FeatureSettings

    _image_shards(n, folder / "images")
    started = Started()
    extract_features(folder / "images", folder / "features", FeatureSettings(extractors=("random-inception",)))
    return _since(started, folder / "features")


def groups(n: int, folder: Path) -> Measured:
    """Near-duplicates by embedding and perceptual hash, with one image in fifty a copy of another."""
    import polars as pl
    from PIL import Image

    from pipeline.images.duplicates.near_duplicates import Pictures, group_images
    from pipeline.settings import ImageSettings
    from pipeline.tables import GROUPS

    def drawn(count: int) -> tuple[pl.DataFrame, pl.DataFrame, Pictures]:
        random = np.random.default_rng(SEED)
        like = np.where(random.random(count) < 0.02, random.integers(0, count, count), np.arange(count))
        ids = pl.Series([f"{number:064x}" for number in range(count)])
        side = 32
        miniatures = random.integers(0, 255, (count, side * side), dtype=np.uint8)[like]
        vectors = random.standard_normal((count, FEATURES), dtype=np.float32)[like].astype(np.float16)
        known = pl.DataFrame(
            {
                "record_id": [f"/1/{number:08d}" for number in range(count)],
                "view": pl.Series(np.zeros(count, dtype=np.int16)),
                "image_id": ids,
                "perceptual_hash": random.integers(0, 2**63, count, dtype=np.uint64)[like],
                "miniature": [row.tobytes() for row in miniatures],
            }
        )

        def pictures(wanted: set[str]) -> Iterator[tuple[str, bytes]]:
            for image_id in sorted(wanted):
                data = io.BytesIO()
                grey = Image.fromarray(miniatures[int(image_id, 16)].reshape(side, side))
                grey.resize((256, 256), Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
                yield image_id, data.getvalue()

        described = pl.DataFrame({"image_id": ids, "vector": pl.Series(vectors.astype(np.float32))})
        return known, [described], pictures

    group_images(*drawn(200), ImageSettings())  # compiled
    given = drawn(n)
    started = Started()
    GROUPS.write(group_images(*given, ImageSettings()), folder / "groups.parquet")
    return _since(started, folder)


def splits(n: int, folder: Path) -> Measured:
    """`make_splits` from tables to tables; the paper's 1,203 tags."""
    from benchmarks.inner_split import run_whole

    made = run_whole(n)
    return {"seconds": float(made["s"]), "cpu_s": float(made["cpu_s"])}  # type: ignore[arg-type]


def distances(n: int, folder: Path) -> Measured:
    """The Fréchet distance of 30 providers to the whole, d = 2,048; how many images each has does not matter much."""
    from pipeline.splits.frechet import distances_to, moments_of_sets, reference

    random = np.random.default_rng(SEED)
    sets = np.array_split(random.standard_normal((n, FEATURES), dtype=np.float32).astype(np.float16), 30)
    started, threads = Started(), os.cpu_count() or 1
    whole, each = moments_of_sets(sets, threads)
    distances_to(reference(whole), sets, each, threads)
    return _since(started, folder)


def evaluation(n: int, folder: Path) -> Measured:
    """All metrics of one row on a tenth of the images, 910 tags; without the resamples, which follow the groups."""
    from benchmarks.metrics import make_data
    from ml.dataset.relevance import Relevance
    from ml.evaluation.image_scores import score_images

    make_data(folder, max(100, n // 10))
    scores, relevant = np.load(folder / "scores.npy"), np.load(folder / "relevant.npy")
    relevance = Relevance.from_lists([np.flatnonzero(row).tolist() for row in relevant])
    score_images(scores, relevance)  # compiled
    started = Started()
    score_images(scores, relevance)
    return _since(started, folder)


STAGES: dict[str, Callable[[int, Path], Measured]] = {
    stage.__name__: stage for stage in (harvest, curation, images, features, groups, distances, splits, evaluation)
}
LARGEST = {"images": 10_000, "features": 10_000}  # on two cores; both cost the same per image at any size


def _since(started: "Started", folder: Path) -> Measured:
    stored = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return {"seconds": time.perf_counter() - started.clock, "cpu_s": _cpu_s() - started.cpu_s, "bytes": stored}


def main() -> None:
    """Print one JSON line: every stage at every size, and how seconds grow from one size to the next."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--alone", action="store_true", help="measure one stage at one size, in this process")
    asked = parser.parse_args()
    if asked.alone:
        with tempfile.TemporaryDirectory(prefix="eufcc-scaling-") as folder:
            found = STAGES[asked.stages[0]](asked.sizes[0], Path(folder))
        found["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found))
        return
    table: dict[str, dict[str, Any]] = {}
    for stage in asked.stages:
        for size in asked.sizes:
            if size <= LARGEST.get(stage, size):
                table.setdefault(stage, {})[str(size)] = _in_a_process(stage, size)
                print(f"{stage:<12}{size:>9,}  {table[stage][str(size)]}", file=sys.stderr)
    print(
        json.dumps(
            {
                "name": "scaling",
                "n": max(asked.sizes),
                "ours_s": round(sum(found.get("seconds", 0) for each in table.values() for found in each.values()), 1),
                **dict.fromkeys(("peer", "peer_version", "peer_s", "ratio", "peer_rss_mb")),
                "ours_rss_mb": round(max(found.get("rss_mb", 0) for each in table.values() for found in each.values())),
                "note": "every stage at every size; the figures are in `stages`, docs/scaling.md reads them",
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
                "stages": table,
                "slopes": {stage: slopes(figures) for stage, figures in table.items()},
            }
        )
    )


def slopes(figures: dict[str, dict[str, Any]]) -> list[float]:
    """The exponent of processor seconds between neighbouring sizes: 1 grows as the records do, 2 as their square."""
    known = sorted(
        (int(size), found.get("cpu_s", found["seconds"])) for size, found in figures.items() if len(found) > 1
    )
    return [
        round(float(np.log(later / earlier) / np.log(larger / smaller)), 2)
        for (smaller, earlier), (larger, later) in itertools.pairwise(known)
    ]


def _in_a_process(stage: str, size: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scaling", "--alone", "--stages", stage, "--sizes", str(size)]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return {"over_s": LONGEST_S}
    return {name: round(value, 3) for name, value in json.loads(done.stdout.splitlines()[-1]).items()}


def _pictures(count: int) -> list[bytes]:
    """Seeded JPEGs of blurred noise."""
    from PIL import Image

    random = np.random.default_rng(SEED)
    made = []
    for _ in range(count):
        small = Image.fromarray(random.integers(0, 255, (12, 12, 3), dtype=np.uint8))
        target = io.BytesIO()
        small.resize((SHORT_SIDE, SHORT_SIDE), Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
        made.append(target.getvalue())
    return made


def _picture_server(pictures: list[bytes]) -> Any:
    """A server on loopback that gives every URL a picture of its own: the number stands behind the last byte."""
    import threading
    from contextlib import contextmanager
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Pictures(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = int(Path(self.path).stem)
            body = pictures[number % len(pictures)] + number.to_bytes(4, "big")
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    @contextmanager
    def served() -> Any:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()

    return served()


def _image_shards(n: int, folder: Path) -> None:
    """The `images` table with made-up pictures, in shards of 2,000 rows."""
    import pyarrow as pa

    from pipeline.tables import IMAGES

    pictures = _pictures(200)
    for start in range(0, n, 2_000):
        numbers = range(start, min(n, start + 2_000))
        ids = [f"{number:064x}" for number in numbers]
        rows = pa.table(
            {
                "record_id": [f"/1/{number:08d}" for number in numbers],
                "view": [0] * len(ids),
                "image_id": ids,
                "image": [{"bytes": pictures[number % 200], "path": f"{number}.jpg"} for number in numbers],
                "width": [SHORT_SIDE] * len(ids),
                "height": [SHORT_SIDE] * len(ids),
                "source_url": ids,
                "perceptual_hash": pa.array(numbers, pa.uint64()),
                "miniature": [b"\0" * 1024] * len(ids),
            }
        )
        IMAGES.write(rows, folder / f"part-{start // 2_000:05d}.parquet")


if __name__ == "__main__":
    main()
