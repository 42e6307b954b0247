"""R-Precision of 20,000 images and 910 tags against torchmetrics, torch argsort and topk, and ranx, in one run.

Ours computes the paper's four metrics under both policies, ties at their expected value; the peers R-Precision alone.
With `--full`, the whole evaluation of 346,324 images with 1,000 resamples is timed too.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peer import peer_python, version

if TYPE_CHECKING:
    from ml.dataset.ground_truth import Dataset, Truth

IMAGES, TAGS, RELEVANT = 20_000, 910, 7
FULL_IMAGES, RESAMPLES, GROUP = 346_324, 1_000, 1.1
TEST_IMAGES, TEST_RESAMPLES = 35_000, 10_000
REPEATS = 5

PEER = """
import json, resource, sys, time
import numpy as np, torch
folder, kind, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(2)
scores = np.load(folder + "/scores.npy").astype(np.float32)
relevant = np.load(folder + "/relevant.npy")
n, tags = scores.shape

def torchmetrics_r_precision():
    from torchmetrics.retrieval import RetrievalRPrecision
    metric = RetrievalRPrecision()
    indexes = torch.arange(n).repeat_interleave(tags)
    began = time.perf_counter()
    value = metric(torch.from_numpy(scores).reshape(-1), torch.from_numpy(relevant).reshape(-1), indexes=indexes)
    return float(value), time.perf_counter() - began

def torch_argsort():
    s, r = torch.from_numpy(scores), torch.from_numpy(relevant)
    began = time.perf_counter()
    size = r.sum(1)
    hits = torch.take_along_dim(r, s.argsort(1, descending=True), 1)
    top = torch.arange(tags)[None] < size[:, None]
    value = ((hits & top).sum(1) / size).mean()
    return float(value), time.perf_counter() - began

def torch_topk():
    s, r = torch.from_numpy(scores), torch.from_numpy(relevant)
    began = time.perf_counter()
    size = r.sum(1)
    best = s.topk(int(size.max()), 1).indices
    hits = torch.take_along_dim(r, best, 1)
    top = torch.arange(best.shape[1])[None] < size[:, None]
    value = ((hits & top).sum(1) / size).mean()
    return float(value), time.perf_counter() - began

def ranx_r_precision():
    from ranx import Qrels, Run, evaluate
    names = [f"{t:04d}" for t in range(tags)]
    ids = [f"q{i:06d}" for i in range(n)]
    qrels = Qrels({ids[i]: {names[t]: 1 for t in np.flatnonzero(relevant[i])} for i in range(n)})
    run = Run({ids[i]: dict(zip(names, scores[i].tolist())) for i in range(n)})
    evaluate(qrels, run, "r-precision")  # compiled
    began = time.perf_counter()
    value = evaluate(qrels, run, "r-precision")
    return float(value), time.perf_counter() - began

values = [globals()[kind]() for _ in range(repeats)]
print(json.dumps({
    "value": values[0][0], "seconds": [s for _, s in values],
    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""
PEERS = {"torchmetrics_r_precision": 1, "torch_argsort": REPEATS, "torch_topk": REPEATS, "ranx_r_precision": 1}


def make_data(folder: Path, images: int, seed: int = 340) -> None:
    """Distinct scores in float16 order and a few relevant tags an image, as .npy files."""
    generator = np.random.default_rng(seed)
    relevant = np.zeros((images, TAGS), bool)
    for row, size in enumerate(generator.integers(1, RELEVANT, images)):
        relevant[row, generator.choice(TAGS, size, replace=False)] = True
    ranks = generator.permuted(np.tile(np.arange(TAGS, dtype=np.uint16), (images, 1)), axis=1)
    np.save(folder / "scores.npy", (ranks / 1024).astype(np.float16))  # ranks below 1,024 are exact in float16
    np.save(folder / "relevant.npy", relevant)


def ours(folder: Path) -> dict[str, object]:
    """All metrics of all images, in a process of its own."""
    from ml.dataset.relevance import Relevance
    from ml.evaluation.image_scores import score_images

    scores, relevant = np.load(folder / "scores.npy"), np.load(folder / "relevant.npy")
    relevance = Relevance.from_lists([np.flatnonzero(row).tolist() for row in relevant])
    score_images(scores[:100], Relevance.from_lists([np.flatnonzero(row).tolist() for row in relevant[:100]]))
    everything = []
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        value = float(score_images(scores, relevance, further=False).column("r_precision").mean())
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        score_images(scores, relevance)
        everything.append(time.perf_counter() - began)
    return {"value": value, "seconds": seconds, "rss_mb": peak_mb(), "with_further_s": sorted(everything)[REPEATS // 2]}


def full_data(folder: Path, generator: np.random.Generator) -> tuple["Dataset", "Truth"]:
    """A tag list of 910 tags in the first facet, and 346,324 images with a few of them each."""
    import polars as pl

    from ml.dataset.ground_truth import Dataset, Truth
    from ml.dataset.relevance import Relevance
    from ml.dataset.tag_list import FacetTags
    from pipeline import FACETS

    ids = tuple(f"{t:09d}" for t in range(TAGS))
    lists = {facet: FacetTags(facet, (), (), (), ()) for facet in FACETS}
    lists[FACETS[0]] = FacetTags(FACETS[0], ids, ids, (-1,) * TAGS, tuple(range(TAGS)))
    dataset = Dataset("0" * 64, "1" * 64, lists, folder)
    sizes = generator.integers(1, RELEVANT, FULL_IMAGES)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    of_image = np.repeat(np.arange(FULL_IMAGES), sizes)
    within = np.arange(len(of_image)) - starts[of_image]
    relevant = ((generator.integers(0, TAGS, FULL_IMAGES)[of_image] + 97 * within) % TAGS).astype(np.int32)
    relevant = relevant[np.lexsort((relevant, of_image))]
    everything = Relevance(starts, relevant, np.ones(len(relevant), bool), np.zeros(FULL_IMAGES, np.int32))
    nothing = Relevance(
        np.zeros(FULL_IMAGES + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, bool), np.zeros(FULL_IMAGES, np.int32)
    )
    keys = [f"/1/{i:07d}" for i in range(FULL_IMAGES)]
    images = pl.DataFrame({"record_id": keys, "view": pl.Series([0] * FULL_IMAGES, dtype=pl.Int16)}).with_columns(
        image_id=pl.col("record_id"), data_provider=pl.lit("one"), group_id=pl.col("record_id")
    )
    groups = (np.arange(FULL_IMAGES) / GROUP).astype(np.int64)
    relevance = {f: everything if f == FACETS[0] else nothing for f in FACETS}
    views, providers = [0] * FULL_IMAGES, ["one"] * FULL_IMAGES
    return dataset, Truth("inner_test", keys, views, providers, images, relevance, groups)


def full(folder: Path) -> dict[str, object]:
    """The whole evaluation: prediction file of 346,324 x 910 scores, batches, metrics, 1,000 resamples, results."""
    import pyarrow as pa

    from ml.evaluation.evaluate import results_of, score_predictions
    from ml.evaluation.prediction_reader import write_predictions
    from pipeline import FACETS
    from pipeline.settings import EvaluationSettings

    generator = np.random.default_rng(340)
    dataset, truth = full_data(folder, generator)
    scores = generator.random((FULL_IMAGES, TAGS), np.float32).astype(np.float16)
    write_predictions({FACETS[0]: scores}, truth, dataset, folder / "p", baseline="peer", seed=0, logarithms=False)
    del scores
    pa.default_memory_pool().release_unused()
    before = peak_mb()
    settings = EvaluationSettings(resamples=RESAMPLES)
    began = time.perf_counter()
    scored = score_predictions(folder / "p", dataset, truth, settings, (FACETS[0],))
    metrics_s = time.perf_counter() - began
    rows = results_of(scored, dataset, settings)
    return {
        "seconds": time.perf_counter() - began,
        "metrics_s": metrics_s,
        "rows": len(rows),
        "rss_mb": current_mb(),
        "peak_mb": peak_mb(),
        "peak_before_mb": before,
    }


def bootstrap() -> dict[str, float]:
    """10,000 resamples of 35,000 images in groups: 16 metrics with their intervals."""
    from ml.evaluation.intervals import interval, replicate, sum_by_group

    generator = np.random.default_rng(340)
    groups = (np.arange(TEST_IMAGES) / GROUP).astype(np.int64)
    values = generator.random((TEST_IMAGES, 16))
    values[generator.random(values.shape) < 0.3] = np.nan  # not annotated in that facet
    n_groups = int(groups.max()) + 1
    replicate(sum_by_group(values[:100], groups[:100], int(groups[99]) + 1), 10, 0)  # compiled
    began = time.perf_counter()
    replicates = replicate(sum_by_group(values, groups, n_groups), TEST_RESAMPLES, 340)
    interval(replicates, n_groups, 0.95)
    return {"seconds": time.perf_counter() - began, "rss_mb": peak_mb()}


def peak_mb() -> float:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def current_mb() -> float:
    """The memory it has now."""
    import psutil

    return psutil.Process().memory_info().rss / 2**20


def main() -> None:
    """Print the one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--side", choices=("ours", "full", "bootstrap"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps({"ours": ours, "full": full, "bootstrap": lambda _: bootstrap()}[asked.side](asked.folder)))
        return
    peer = peer_python("metrics")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_data(folder, IMAGES)
        mine = run([sys.executable, "-m", "benchmarks.metrics", "--side", "ours", "--folder", name])
        theirs = {kind: run([peer, "-c", PEER, name, kind, str(repeats)]) for kind, repeats in PEERS.items()}
        for kind, result in theirs.items():
            if abs(result["value"] - mine["value"]) > 1e-5:
                raise SystemExit(f"{kind} says {result['value']}, ours {mine['value']}: not the same metric.")
        sides = ("full", "bootstrap") if asked.full else ()
        extra = {
            side: run([sys.executable, "-m", "benchmarks.metrics", "--side", side, "--folder", name]) for side in sides
        }
    print(json.dumps(summary(mine, theirs, extra)))


def summary(mine: dict, theirs: dict[str, dict], extra: dict[str, dict]) -> dict[str, object]:
    """The line of the benchmark: ours beside the fastest of each peer's runs."""
    best = {kind: min(result["seconds"]) for kind, result in theirs.items()}
    fastest = min((kind for kind in best), key=best.__getitem__)
    seconds = sorted(mine["seconds"])[REPEATS // 2]
    named = theirs["torchmetrics_r_precision"]
    note = {
        "ours_spread_s": [round(s, 4) for s in mine["seconds"]],
        "ours_with_hierarchical_and_further_s": round(mine["with_further_s"], 4),
        "peers_best_s": {kind: round(s, 3) for kind, s in best.items()},
        "fastest_peer": fastest,
        "ratio_fastest_peer": round(best[fastest] / seconds, 1),
    }
    if extra:
        note["full_346324x910_1000_resamples"] = {k: round(v, 1) for k, v in extra["full"].items()}
        note["bootstrap_35000_images_10000_resamples_16_metrics"] = {
            k: round(v, 1) for k, v in extra["bootstrap"].items()
        }
    return {
        "name": "metrics",
        "n": IMAGES,
        "ours_s": round(seconds, 4),
        "peer": "torchmetrics RetrievalRPrecision",
        "peer_version": version("metrics"),
        "peer_s": round(best["torchmetrics_r_precision"], 2),
        "ratio": round(best["torchmetrics_r_precision"] / seconds, 1),
        "ours_rss_mb": round(mine["rss_mb"]),
        "peer_rss_mb": round(named["rss_mb"]),
        "note": note,
    }


def run(command: list[object]) -> dict:
    """The JSON that a side prints."""
    done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
