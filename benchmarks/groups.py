"""Nearest neighbours of all images by cosine: ours against faiss' flat index; `--full`: also at the paper's size."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

THREADS = 2
N, FULL, DIMENSIONS = 50_000, 346_324, 2048  # paper: images of the dataset; numbers of an image as in pytorch-fid
COUNT = 20  # neighbours, as in the settings
DECAY = 1.15  # the variance of direction i falls as i ** -DECAY: 256 directions hold 82 %, as of real pictures
COPIES = 0.02  # share of images that are near copies of others
PEER_QUERIES = 10_000  # of the full size; the peer's time for all is extrapolated
SEED = 340
PEER = """
import json, resource, sys, time
import faiss, numpy as np
folder, queries, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
faiss.omp_set_num_threads(threads)
vectors = np.load(folder + "/vectors.npy")
begin = time.perf_counter()
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
cosines, rows = index.search(vectors[:queries], count + 1)
seconds = time.perf_counter() - begin
np.savez(folder + "/peer.npz", cosines=cosines, rows=rows)
print(json.dumps({"s": seconds, "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}))
"""


def generate(folder: Path, n: int) -> None:
    """Unit vectors float32 [n, d] about a mean of 0, with the spectrum of real ones and planted near copies."""
    random = np.random.default_rng(SEED)
    spread = (np.arange(1, DIMENSIONS + 1) ** (-DECAY / 2)).astype(np.float32)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", dtype=np.float32, shape=(n, DIMENSIONS))
    for start in range(0, n, 8192):
        block = random.standard_normal((min(8192, n - start), DIMENSIONS), dtype=np.float32) * spread
        copies = np.flatnonzero(random.random(len(block)) < COPIES)
        block[copies] = block[random.integers(0, len(block), len(copies))] + 0.1 * block[copies]
        vectors[start : start + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    vectors.flush()


def run_ours(folder: Path) -> dict[str, float]:
    """Read the vectors, find their neighbours above the usual cosine, and store the pairs."""
    from pipeline.images.duplicates.near_duplicates import usual_cosine
    from pipeline.images.duplicates.nearest import nearest_by_cosine, nearest_by_hash
    from pipeline.settings import ImageSettings

    vectors = np.load(folder / "vectors.npy")
    hashes = np.random.default_rng(SEED).integers(0, 2**63, len(vectors), dtype=np.uint64)
    nearest_by_cosine(vectors[:50], COUNT, 0.0)  # compiled
    nearest_by_hash(hashes[:50], COUNT)
    usual = usual_cosine(vectors, ImageSettings().near_duplicate_closer_than)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    pairs = nearest_by_cosine(vectors, COUNT, usual)
    seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_begin
    begin = time.perf_counter()
    nearest_by_hash(hashes, COUNT)
    np.savez(folder / "ours.npz", pairs=pairs, usual=usual)
    return {"s": seconds, "cpu_s": cpu_s, "hash_s": time.perf_counter() - begin}


def other_pairs(folder: Path, queries: int) -> int:
    """How many pairs of the first `queries` images one side found and the other did not."""
    ours, peer = np.load(folder / "ours.npz"), np.load(folder / "peer.npz")
    rows, cosines = peer["rows"], peer["cosines"]
    numbers = np.broadcast_to(np.arange(queries)[:, None], rows.shape)
    wanted = (cosines >= ours["usual"]) & (rows != numbers)
    theirs = {(min(pair), max(pair)) for pair in zip(numbers[wanted].tolist(), rows[wanted].tolist(), strict=True)}
    mine = {tuple(pair) for pair in ours["pairs"].tolist()}
    if queries == len(np.load(folder / "vectors.npy", mmap_mode="r")):
        return len(theirs ^ mine)
    return len(theirs - mine)  # the others' neighbours among the queries were not asked for


def measure(n: int) -> dict[str, object]:
    """Both sides on the same vectors, one after the other."""
    from benchmarks.peer import blas_kernels, peer_python, version

    queries = n if n <= N else PEER_QUERIES
    kernels = blas_kernels()
    given = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    given["OPENBLAS_CORETYPE"] = kernels  # the peer's OpenBLAS may not know this processor and take slow ones
    with tempfile.TemporaryDirectory(prefix="eufcc-groups-") as name:
        folder = Path(name)
        generate(folder, n)
        own = [sys.executable, "-m", "benchmarks.groups", "--side", name]
        peer = [str(peer_python("groups")), "-c", PEER, name, str(queries), str(COUNT), str(THREADS)]
        sides = [
            json.loads(subprocess.run(command, env=os.environ | given, check=True, stdout=subprocess.PIPE).stdout)
            for command in (own, peer)
        ]
        different = other_pairs(folder, queries)
    ours, peers = sides
    peer_s = peers["s"] * n / queries
    asked = "all images" if queries == n else f"{queries:,} images, the rest EXTRAPOLATED"
    note = (
        f"{n:,} x {DIMENSIONS}, {COUNT} neighbours, {THREADS} threads; the peer was asked for {asked}; pairs that one "
        f"side alone found: {different}; ours {ours['cpu_s']:.0f} CPU seconds; nearest by dHash {ours['hash_s']:.1f} s"
        f"; OpenBLAS for {kernels}"
    )
    result = {"name": "groups", "n": n, "ours_s": round(ours["s"], 1), "peer": "faiss IndexFlatIP"}
    result |= {"peer_version": version("groups"), "peer_s": round(peer_s, 1), "ratio": round(peer_s / ours["s"], 1)}
    return result | {"ours_rss_mb": ours["rss_mb"], "peer_rss_mb": peers["rss_mb"], "note": note}


def main() -> None:
    """Print one JSON line; two with `--full`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=Path)
    parser.add_argument("--full", action="store_true", help="also at the paper's size")
    parser.add_argument("--n", type=int, default=N)
    asked = parser.parse_args()
    if asked.side:
        ours = run_ours(asked.side)
        ours["rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(json.dumps(ours))
        return
    for n in (asked.n, FULL) if asked.full else (asked.n,):
        print(json.dumps(measure(n)), flush=True)


if __name__ == "__main__":
    main()
