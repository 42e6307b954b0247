"""How much of a release's training file a hub takes anew when two rows were withdrawn: ours, and Parquet's defaults.

A hub that stores pieces of files by their hash (Hugging Face's Xet) needs only the pieces that it does not have. The
pieces here are cut as Xet cuts them: where a rolling gear hash of the bytes says so, of 8 to 128 KB, about 64 KB each.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pyarrow.parquet as pq

from assets.engine.project import home
from pipeline.release.released_rows import WRITTEN
from pipeline.settings import ReleaseSettings

LEAST, MOST, BITS = 8 * 1024, 128 * 1024, 16  # Xet's, https://huggingface.co/docs/xet/chunking
DEFAULTS: dict[str, Any] = {"compression": "zstd"}
GEAR = np.random.default_rng(0).integers(0, 2**64, 256, np.uint64)


@numba.njit
def cuts(data: np.ndarray, gear: np.ndarray) -> list[int]:
    """Where the pieces of `data` (uint8) end."""
    ends, start, value = [0], 0, np.uint64(0)
    mask = np.uint64((1 << BITS) - 1) << np.uint64(64 - BITS)
    for at in range(len(data)):
        value = (value << np.uint64(1)) + gear[data[at]]
        length = at + 1 - start
        if (length >= LEAST and value & mask == 0) or length >= MOST:
            ends.append(at + 1)
            start, value = at + 1, np.uint64(0)
    if ends[-1] != len(data):
        ends.append(len(data))
    return ends[1:]


def pieces(file: Path) -> dict[str, int]:
    """Bytes of each distinct piece, by its hash."""
    data = np.fromfile(file, np.uint8)
    found, start = {}, 0
    for end in cuts(data, GEAR):
        found[hashlib.sha256(data[start:end].tobytes()).hexdigest()] = end - start
        start = end
    return found


def anew(table: Any, withdrawn: np.ndarray, written: dict[str, Any], rows: int, folder: Path) -> tuple[float, int]:
    """The share of the second file's bytes that the first does not have, and the file's size."""
    kept = table.take(np.setdiff1d(np.arange(table.num_rows), withdrawn))
    files = []
    for name, content in (("before", table), ("after", kept)):
        files.append(folder / f"{name}.parquet")
        with pq.ParquetWriter(files[-1], content.schema, **written) as writer:
            for start in range(0, content.num_rows, rows):
                writer.write_table(content.slice(start, rows).combine_chunks())
    before, after = map(pieces, files)
    new = sum(size for digest, size in after.items() if digest not in before)
    return new / files[1].stat().st_size, files[1].stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", type=Path, help="a release; by default the demo's")
    parser.add_argument("--draws", type=int, default=20, help="pairs of withdrawn rows")
    options = parser.parse_args()
    release = options.release or home() / "storage" / "demo-rendered" / "release"
    files = sorted((release / "data").glob("train-*.parquet"))
    if not files:
        sys.exit(f"{release} has no training file: run `make demo` first, or give a release with --release.")
    table, rows = pq.read_table(files[0]), ReleaseSettings()
    ways = {"ours": (WRITTEN, rows.rows_per_hub_group), "peer": (DEFAULTS, rows.rows_per_group)}
    random = np.random.default_rng(0)
    shares: dict[str, list[float]] = {"ours": [], "peer": []}
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.draws):
            withdrawn = random.choice(table.num_rows, 2, replace=False)
            for who, (how, group) in ways.items():
                share, sizes[who] = anew(table, withdrawn, how, group, Path(folder))
                shares[who].append(share)
    ours, peer = (np.array(shares[who]) for who in ("ours", "peer"))
    line = {
        "benchmark": "reupload",
        "rows": table.num_rows,
        "bytes": sizes["ours"],
        "ours_share": round(float(np.median(ours)), 4),
        "ours_largest": round(float(ours.max()), 4),
        "peer": f"zstd, row groups of {rows.rows_per_group}, no content-defined chunks",
        "peer_share": round(float(np.median(peer)), 4),
        "ratio": round(float(np.median(peer) / np.median(ours)), 2),
        "note": f"share of bytes in pieces that the hub does not have, after two of the rows; {options.draws} draws",
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
