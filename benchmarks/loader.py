"""Images a second into a normalised float32 batch, ours against torchvision's ImageFolder with Pillow.

    .venv/bin/python -m benchmarks.loader [--images N] [--workers N]

Both read the same JPEGs (256 px, as a release stores them, and 1,000 px, as museums publish them), with the same number
of workers and the same augmentation: random resized crop of 224 px (area 0.08 to 1), horizontal flip, the mean and
spread of ImageNet. Each side runs in a process of its own, the two in turns; the fastest of each counts.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZES = (256, 1000)  # px of the short side
DIFFERENT = 64  # pictures that are drawn; the rest are copies of their files
BATCH, TURNS = 128, 3
PX, CROP = 224, (0.08, 1.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    """One JSON line per size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1536)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--side", choices=("ours", "peer"))
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(timed(asked.side, asked.folder, asked.workers)))
        return
    for px in SIZES:
        n = asked.images if px == SIZES[0] else asked.images // 3 // BATCH * BATCH
        with tempfile.TemporaryDirectory(prefix="eufcc-loader-") as name:
            folder = Path(name)
            stored = write_pictures(folder / "all", n, px)
            print(json.dumps(compared(folder, n, px, stored, asked.workers)), flush=True)


def write_pictures(folder: Path, n: int, px: int) -> int:
    """JPEGs of quality 90 with detail at every scale, as photographs have; the mean size in bytes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(340)
    files = []
    for _ in range(DIFFERENT):
        width, height = (px, round(px * rng.uniform(1, 1.5)))[:: rng.choice([1, -1])]
        picture = np.full((height, width, 3), 128.0)
        for level in range(2, 9):
            cells = rng.normal(size=(2**level, 2**level, 3)) * 60 * 0.72**level
            scaled = [
                np.asarray(Image.fromarray(cells[:, :, c].astype(np.float32)).resize((width, height), 3))
                for c in range(3)
            ]
            picture += np.stack(scaled, 2)
        out = io.BytesIO()
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
        files.append(out.getvalue())
    for number in range(n):
        (folder / f"{number:06d}.jpg").write_bytes(files[number % DIFFERENT])
    return sum(map(len, files)) // len(files)


def compared(folder: Path, n: int, px: int, stored: int, workers: int) -> dict[str, Any]:
    """Both sides in turns; the line of the result."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    for _ in range(TURNS):
        for side, runs in found.items():
            command = [sys.executable, "-m", "benchmarks.loader", "--side", side, "--folder", str(folder)]
            command += ["--workers", str(workers)]
            answer = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
            runs.append(json.loads(answer.stdout.splitlines()[-1]))
    ours, peer = (min(runs, key=lambda run: run["s"]) for runs in found.values())
    spread = {
        side: " to ".join(f"{n / run['s']:.0f}" for run in (max(runs, key=_s), min(runs, key=_s)))
        for side, runs in found.items()
    }
    cpu = {side: min(run["cpu_s"] for run in runs) for side, runs in found.items()}
    import torchvision

    return {
        "name": f"loader from {px} px",
        "n": n,
        "ours_s": round(ours["s"], 2),
        "peer": "torchvision ImageFolder",
        "peer_version": torchvision.__version__,
        "peer_s": round(peer["s"], 2),
        "ratio": round(peer["s"] / ours["s"], 2),
        "ours_rss_mb": ours["rss_mb"],
        "peer_rss_mb": peer["rss_mb"],
        "note": (
            f"images/s ours {spread['ours']}, torchvision with Pillow {spread['peer']} ({TURNS} turns each, {workers} "
            f"workers, batches of {BATCH} at {PX} px, float32); JPEGs of {stored / 1e3:.0f} kB; CPU seconds, less "
            f"disturbed by other work: ours {cpu['ours']:.1f}, torchvision {cpu['peer']:.1f}, "
            f"{cpu['peer'] / cpu['ours']:.2f} times"
        ),
    }


def _s(run: dict[str, float]) -> float:
    return run["s"]


def timed(side: str, folder: Path, workers: int) -> dict[str, float]:
    """Seconds for one epoch, from the first batch's request on, workers started; the sum keeps the batches honest."""
    batches = ours(folder / "all", workers) if side == "ours" else peer(folder, workers)
    began, cpu = time.perf_counter(), _cpu()
    n, total = 0, 0.0
    for image in batches:
        assert image.dtype.is_floating_point
        assert image.shape[1:] == (3, PX, PX)
        n, total = n + len(image), total + float(image[0, :, 0, 0].sum())
    seconds = time.perf_counter() - began
    batches.close()
    found = {"s": seconds, "cpu_s": _cpu() - cpu, "n": n, "sum": total}
    used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return found | {"rss_mb": round(max(used) / 1024)}


def ours(folder: Path, workers: int) -> Generator[Any, None, None]:
    """ml.data as the trainer uses it: uint8 from the workers, normalised as a whole batch."""
    import pyarrow as pa
    import torch

    from ml.baselines import recipe
    from ml.dataset.batches import EpochSampler, Images, loader
    from ml.dataset.split import ImageSplit, Jpegs
    from ml.dataset.tag_list import TagList
    from ml.dataset.transforms import View
    from ml.training.device import on_device

    files = sorted(folder.glob("*.jpg"))
    stored = pa.chunked_array([pa.array([file.read_bytes() for file in files], pa.large_binary())])
    jpegs = Jpegs(stored, np.arange(len(files)))
    names = tuple(file.stem for file in files)
    split = ImageSplit("train", names, (0,) * len(names), ("",) * len(names), jpegs, {}, {})
    images = Images(split, TagList("", "", {}), View(PX, CROP))
    chosen = recipe("multilabel", "full")
    assert chosen.card  # read once in a training, with its libraries
    sampler = EpochSampler(len(images), step_size=BATCH, seed=0)
    batches = loader(images, sampler, batch=BATCH, workers=workers, pin=False)
    return (on_device(batch, torch.device("cpu"), chosen)["image"] for batch in batches)


def peer(folder: Path, workers: int) -> Generator[Any, None, None]:
    """What torchvision's documentation shows."""
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    steps = [transforms.RandomResizedCrop(PX, scale=CROP), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    images = ImageFolder(str(folder), transforms.Compose([*steps, transforms.Normalize(MEAN, STD)]))
    batches = DataLoader(
        images, BATCH, shuffle=True, num_workers=workers, drop_last=True, prefetch_factor=4 if workers else None
    )
    return (image for image, _ in batches)


def _cpu() -> float:
    """CPU seconds of this process and of the workers that have ended."""
    return sum(
        use.ru_utime + use.ru_stime
        for use in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()
