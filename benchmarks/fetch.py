"""Images per second against img2dataset on one loopback server with the same settings; then 30 % of faulty URLs.

Both fetch the same generated pictures (400 px wide, as Europeana's thumbnails), reduce the short side to 256 px, encode
JPEG of quality 90 and write Parquet shards, with 32 connections and two decoding processes. Each side runs in its own
processes; memory is the largest sum over its processes (proportional set size). In the faulty run, of ours alone, the
local museum answers 30 % of the URLs with every kind of fault it knows, and every URL must end fetched or with a typed
reason.
"""

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import polars as pl
import psutil
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.peer import peer_python, version
from pipeline.images.fetch import fetch_images
from pipeline.sandbox.render import render_museum
from pipeline.settings import RENDERED_MUSEUM, HttpSettings, ImageSettings
from tests.support.faults import FAULTS, IMAGE, Faults
from tests.support.museum_server import running

IMAGES = 3_000
REPEATS = 3
SEED = 340

SERVER = """
import asyncio, sys, time
from pathlib import Path
import uvicorn
first = []
files = [file.read_bytes() for file in sorted(Path(sys.argv[1]).iterdir())]
async def app(scope, receive, send):
    if scope["path"] == "/since-first":  # seconds since the first image was asked for; starts anew
        body = str(time.monotonic() - first.pop()).encode()
    else:
        first[:] = first or [time.monotonic()]
        body = picture(scope)
    head = [(b"content-type", b"image/jpeg"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
def picture(scope):
    return files[int(scope["path"].rsplit("/", 1)[1].split(".")[0]) % len(files)]
server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
async def run():
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await task
asyncio.run(run())
"""

OURS = """
import sys
from pathlib import Path
import polars as pl
from pipeline.images.fetch import fetch_images
from pipeline.settings import HttpSettings, ImageSettings
if __name__ == "__main__":
    address, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    rows = [(f"/a/{n:06d}", 0, f"http://images.example/{n}.jpg", None) for n in range(count)]
    wanted = pl.DataFrame(rows, schema=["record_id", "view", "url", "fallback_url"], orient="row")
    images = ImageSettings(
        connections=32, connections_per_host=32, decoders=2, rows_per_shard=1000, allowed_addresses=("127.0.0.0/8",)
    )
    fetch_images(wanted, folder, images, HttpSettings(hosts={"*": address}))
"""

PEER = """
import os, sys
os.environ.update(NO_ALBUMENTATIONS_UPDATE="1", WANDB_MODE="disabled")
from img2dataset import download
if __name__ == "__main__":
    address, count, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    with open(folder + ".txt", "w") as file:
        file.writelines(f"{address}/{n}.jpg\\n" for n in range(count))
    download(
        url_list=folder + ".txt", output_folder=folder, processes_count=2, thread_count=16, image_size=256,
        resize_mode="keep_ratio", resize_only_if_bigger=True, encode_quality=90, encode_format="jpg",
        output_format="parquet", number_sample_per_shard=1000, compute_hash="sha256", retries=0, timeout=60,
    )
"""


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    peer = peer_python("fetch")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_pictures(folder / "pictures")
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, folder / "pictures"], stdout=subprocess.PIPE, text=True
        )
        try:
            address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            ours, theirs = [], []
            for number in range(asked.repeats):  # in turn, so that a slow minute hits both
                ours.append(measured([sys.executable, "-c", OURS], address, asked.images, folder / f"ours{number}"))
                script = folder / "peer.py"  # its processes are started anew and import the script
                script.write_text(PEER, encoding="utf-8")
                theirs.append(measured([str(peer), str(script)], address, asked.images, folder / f"peer{number}"))
        finally:
            server.terminate()
            server.wait()
        faulty = faulty_run(folder / "faulty")
    print(json.dumps(outcome(asked.images, ours, theirs, faulty)))


def draw_pictures(folder: Path, count: int = 200) -> None:
    """Seeded JPEGs 400 px wide, about 30 kB each."""
    folder.mkdir()
    noise = np.random.default_rng(SEED)
    for number in range(count):
        height = int(noise.integers(260, 560))
        layers = [
            np.asarray(
                Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((400, height)),
                np.float32,
            )
            for side in (5, 40, 160)
        ]
        pixels = layers[0] * 0.6 + layers[1] * 0.25 + layers[2] * 0.15
        out = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG", quality=85)
        (folder / f"{number:04d}.jpg").write_bytes(out.getvalue())


def measured(command: list[str], address: str, count: int, folder: Path) -> dict[str, float]:
    """Seconds from the first request to the end, seconds of the whole process, peak memory (MB, summed over processes)
    and the number of stored images."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, address, str(count), str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    root, peak = psutil.Process(process.pid), 0.0
    while process.poll() is None:
        peak = max(peak, _memory(root))
        time.sleep(0.2)
    whole = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(process.stderr.read())
    with urlopen(f"{address}/since-first") as answer:
        seconds = float(answer.read())
    shards = sorted([*folder.glob("images/*.parquet"), *folder.glob("*.parquet")])
    shards = [shard for shard in shards if shard.name != "fetches.parquet"]
    stored = sum(_stored(shard) for shard in shards)
    return {"seconds": seconds, "whole_s": whole, "memory_mb": peak, "stored": stored}


def _stored(shard: Path) -> int:
    table = pq.read_table(shard)
    column = table["image"] if "image" in table.column_names else table["jpg"]
    return len(column) - column.null_count


def _memory(root: psutil.Process) -> float:
    total = 0
    with suppress(psutil.NoSuchProcess):
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
    return total / 1e6


def faulty_run(folder: Path) -> str:
    """Fetches a museum with 30 % faulty answers, passing and lasting ones; returns the outcome in words."""
    render_museum(RENDERED_MUSEUM)
    urls = pl.read_csv(RENDERED_MUSEUM / "media.csv")["url"].sort()
    rows = [(f"/a/{number:06d}", 0, url, None) for number, url in enumerate(urls)]
    wanted = pl.DataFrame(rows, schema=["record_id", "view", "url", "fallback_url"], orient="row")
    settings = ImageSettings(
        allowed_addresses=("127.0.0.0/8",), timeout_s=20.0, attempts=6, connections_per_host=16, max_bytes=5_000_000
    )
    faults = Faults(seed=SEED, probability=0.3, lasting=True, slow_s=1.0)
    with running(RENDERED_MUSEUM, faults=faults) as address:
        http = HttpSettings(hosts={"*": address}, backoff_first_s=0.05, backoff_cap_s=1.0, read_timeout_s=5.0)
        summary = fetch_images(wanted, folder, settings, http)
    kinds = [fault.name for fault in FAULTS if IMAGE in fault.where and faults.played[fault.name]]
    reasons = ", ".join(f"{reason} {count}" for reason, count in summary.reasons.items())
    return (
        f"30 % faulty URLs of {len(kinds)} kinds: {summary.usable} of {summary.wanted} fetched, "
        f"{summary.states.get('rejected', 0)} rejected and {summary.states.get('failed', 0)} failed, all typed "
        f"({reasons})"
    )


def outcome(count: int, ours: list[dict], theirs: list[dict], faulty: str) -> dict:
    """The result line."""
    seconds = [statistics.median(run["seconds"] for run in runs) for runs in (ours, theirs)]
    whole = [statistics.median(run["whole_s"] for run in runs) for runs in (ours, theirs)]
    memory = [max(run["memory_mb"] for run in runs) for runs in (ours, theirs)]
    stored = [min(run["stored"] for run in runs) for runs in (ours, theirs)]
    spread = [
        f"{min(r['seconds'] for r in runs):.1f} to {max(r['seconds'] for r in runs):.1f} s" for runs in (ours, theirs)
    ]
    return {
        "name": "fetch",
        "n": count,
        "ours_s": round(seconds[0], 2),
        "peer": "img2dataset",
        "peer_version": version("fetch"),
        "peer_s": round(seconds[1], 2),
        "ratio": round(seconds[1] / seconds[0], 2),
        "ours_rss_mb": round(memory[0]),
        "peer_rss_mb": round(memory[1]),
        "note": (
            f"median of {len(ours)}: {count / seconds[0]:.0f} against {count / seconds[1]:.0f} images/s from the first "
            f"request to the last shard ({spread[0]}; {spread[1]}), {count / whole[0]:.0f} against "
            f"{count / whole[1]:.0f} with the start of the processes; stored {stored[0]} and {stored[1]}; memory "
            f"summed over processes; "
            f"{faulty}"
        ),
    }


if __name__ == "__main__":
    main()
