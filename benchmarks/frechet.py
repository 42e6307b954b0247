"""Distances of 358 providers to the whole: ours against pytorch-fid per provider, and against two `eigh` per pair."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.peer import blas_kernels

THREADS = 2
PROVIDERS, IMAGES, DIMENSIONS = 358, 346_324, 2048  # paper: providers and images; pytorch-fid: dimensions
# A lognormal whose quantiles give the paper's facts: 358 providers with 1 to 40,000 images, 346,324 in all.
LOG_MEAN, LOG_SPREAD = 5.31, 1.77
TIMED = (0, 4, 12, 26, 33, 60, 120, 240, 350)  # ranks, by size, of the providers on which the peers are timed
SEED = 340


def provider_sizes(providers: int = PROVIDERS, images: int = IMAGES) -> np.ndarray:
    """Images per provider, largest first: the quantiles of the lognormal, scaled to the sum."""
    from scipy.stats import norm

    quantiles = np.exp(LOG_MEAN + LOG_SPREAD * norm.ppf(1 - (np.arange(providers) + 0.5) / providers))
    sizes = np.maximum(1, np.round(quantiles * images / quantiles.sum())).astype(int)
    sizes[0] += images - sizes.sum()
    return sizes


def generate(folder: Path) -> None:
    """Features as float16 [images, d], provider after provider: mixed directions of falling variance, shifted and
    stretched per provider."""
    rng = np.random.default_rng(SEED)
    sizes = provider_sizes()
    spread = np.geomspace(1.0, 0.02, DIMENSIONS).astype(np.float32)
    mixing = np.linalg.qr(rng.standard_normal((DIMENSIONS, DIMENSIONS)))[0].astype(np.float32) * spread[:, None]
    features = np.lib.format.open_memmap(
        folder / "features.npy", "w+", dtype=np.float16, shape=(int(sizes.sum()), DIMENSIONS)
    )
    start = 0
    for size in sizes:
        stretch = np.exp(0.3 * rng.standard_normal(DIMENSIONS)).astype(np.float32)
        shift = 0.4 * rng.standard_normal(DIMENSIONS).astype(np.float32)
        for begin in range(0, size, 8192):
            rows = min(8192, size - begin)
            latent = rng.standard_normal((rows, DIMENSIONS), dtype=np.float32) * stretch + shift
            features[start + begin : start + begin + rows] = latent @ mixing
        start += size
    features.flush()
    np.save(folder / "sizes.npy", sizes)


def sets_of(folder: Path) -> list[np.ndarray]:
    """Every provider's rows, as views of the file."""
    features = np.load(folder / "features.npy", mmap_mode="r")
    ends = np.cumsum(np.load(folder / "sizes.npy"))
    return [features[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def run_ours(folder: Path) -> dict[str, object]:
    """Reads the features; computes moments, the factor of the whole and all distances."""
    from pipeline.splits.frechet import distances_to, moments_of_sets, reference

    sets = sets_of(folder)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    whole, each = moments_of_sets(sets, THREADS)
    statistics_s = time.perf_counter() - begin
    distances = distances_to(reference(whole), sets, each, THREADS)
    seconds, cpu_s = time.perf_counter() - begin, time.process_time() - cpu_begin
    return {"s": seconds, "cpu_s": cpu_s, "statistics_s": statistics_s, "distances": distances}


def _mean_and_covariance(blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of outer products about the first block's mean, in float64: independent of our code."""
    origin = blocks[0][:1000].astype(np.float64).mean(axis=0)
    n, total, products = 0, np.zeros(DIMENSIONS), np.zeros((DIMENSIONS, DIMENSIONS))
    for block in blocks:
        for begin in range(0, len(block), 4096):
            rows = block[begin : begin + 4096].astype(np.float64) - origin
            n += len(rows)
            total += rows.sum(axis=0)
            products += rows.T @ rows
    return total / n + origin, (products - np.outer(total, total) / n) / (n - 1)


def run_peers(folder: Path) -> dict[str, object]:
    """pytorch-fid's function and the two `eigh` of torch on the chosen providers, given mean and covariance."""
    import warnings

    import torch
    from pytorch_fid.fid_score import calculate_frechet_distance

    torch.set_num_threads(THREADS)
    warnings.simplefilter("ignore")
    sets = sets_of(folder)
    whole = _mean_and_covariance(sets)
    timed = []
    for rank in TIMED:
        one = _mean_and_covariance([sets[rank]])
        begin, cpu_begin = time.perf_counter(), time.process_time()
        try:
            distance: float | None = float(calculate_frechet_distance(*one, *whole))
        except ValueError as error:  # "Imaginary component"
            print(f"pytorch-fid on {len(sets[rank])} images: {error}", file=sys.stderr)
            distance = None
        peer_s, peer_cpu_s = time.perf_counter() - begin, time.process_time() - cpu_begin
        tensors = [torch.from_numpy(array) for array in (*one, *whole)]
        begin = time.perf_counter()
        other = _two_eigh(*tensors)
        row = {"rank": rank, "n": len(sets[rank]), "distance": distance, "s": peer_s, "cpu_s": peer_cpu_s}
        timed.append({**row, "torch": other, "torch_s": time.perf_counter() - begin})
        print(json.dumps(timed[-1]), file=sys.stderr)
    return {"timed": timed}


def _two_eigh(mean, covariance, whole_mean, whole_covariance) -> float:  # type: ignore[no-untyped-def]
    """The distance by the symmetric form, with eigenvectors of one matrix and eigenvalues of another, pair by pair."""
    import torch

    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    common = torch.linalg.eigvalsh(root @ whole_covariance @ root).clamp(min=0).sqrt().sum()
    shift = mean - whole_mean
    return float(shift @ shift + covariance.trace() + whole_covariance.trace() - 2 * common)


def extrapolated(timed: list[dict], sizes: np.ndarray, key: str) -> float:
    """Seconds for all providers, from the mean of those timed, separately for n < d and n >= d."""
    seconds = 0.0
    for small in (True, False):
        measured = [row[key] for row in timed if (row["n"] < DIMENSIONS) == small]
        seconds += float(np.mean(measured)) * int(((sizes < DIMENSIONS) == small).sum())
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", choices=("ours", "peers"))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.side:
        result = run_ours(arguments.folder) if arguments.side == "ours" else run_peers(arguments.folder)
        result["rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory(prefix="eufcc-frechet-") as name:
        folder = Path(name)
        begin = time.perf_counter()
        generate(folder)
        print(f"generated in {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
        sides = {}
        for side in ("ours", "peers"):
            command = [sys.executable, "-m", "benchmarks.frechet", "--side", side, "--folder", name]
            answer = subprocess.run(command, env={**os.environ, **threads}, check=True, stdout=subprocess.PIPE)
            sides[side] = json.loads(answer.stdout)
        sizes = np.load(folder / "sizes.npy")
    ours, timed = sides["ours"], sides["peers"]["timed"]
    peer_s, torch_s = extrapolated(timed, sizes, "s"), extrapolated(timed, sizes, "torch_s")
    peer_cpu_s = extrapolated(timed, sizes, "cpu_s")
    differences = {True: [0.0], False: [0.0]}
    for row in timed:
        if row["distance"] is not None:
            ours_here = ours["distances"][row["rank"]]
            differences[row["n"] > DIMENSIONS].append(abs(ours_here - row["distance"]) / row["distance"])
    refused = sum(row["distance"] is None for row in timed)
    images = ", ".join(str(row["n"]) for row in timed)
    seconds = ", ".join(format(row["s"], ".1f") for row in timed)
    note = (
        f"{DIMENSIONS} dimensions, {PROVIDERS} providers, {THREADS} threads each; peers timed on providers of {images} "
        f"images ({seconds} s), the rest EXTRAPOLATED by class (n < d, n >= d); ours includes reading and statistics "
        f"({ours['statistics_s']:.1f} s), the peers get mean and covariance; largest relative difference "
        f"{max(differences[True]):.1e} for n > d, {max(differences[False]):.1e} else; pytorch-fid refused {refused}; "
        f"torch with two eigh per pair: {torch_s:.0f} s (extrapolated), {torch_s / ours['s']:.1f} times ours; "
        f"CPU seconds (less disturbed by other work here): ours {ours['cpu_s']:.0f}, pytorch-fid {peer_cpu_s:.0f}, "
        f"{peer_cpu_s / ours['cpu_s']:.0f} times; OpenBLAS for {blas_kernels()}"
    )
    result = {"name": "frechet", "n": IMAGES, "ours_s": round(ours["s"], 2), "peer": "pytorch-fid"}
    result |= {
        "peer_version": version("pytorch-fid"),
        "peer_s": round(peer_s, 1),
        "ratio": round(peer_s / ours["s"], 1),
    }
    result |= {"ours_rss_mb": ours["rss_mb"], "peer_rss_mb": sides["peers"]["rss_mb"], "note": note}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
