"""Our training loop against a bare timm loop on the same model, data and machine, one JSON line.

    .venv/bin/python -m benchmarks.trainer                 # CPU: MobileNetV2 at 128 px from JPEGs
    .venv/bin/python -m benchmarks.trainer --gpu convnext  # ConvNeXt-B, 224 px, batch 128, bf16, and resident
    .venv/bin/python -m benchmarks.trainer --gpu clip      # CLIP ViT-B/16 fine-tuning, pairs a second

The peer is timm's own loader and transforms, AdamW and binary cross-entropy in ten lines. `resident` is that loop on
one batch that stays where it is: what is left of it is what the data may cost. On a GPU all run under bf16 autocast and
through torch.compile (`--compile off` for neither); the model-FLOP utilisation counts three times the forward pass,
against the dense bf16 peak of an H100 or H200. The second epoch counts: the first starts workers and compiles.
"""

import argparse
import io
import json
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import timm
import torch
from torch import Tensor, nn

from benchmarks.loader import write_pictures
from ml.baselines import baseline, recipe
from ml.dataset.batches import Images
from ml.dataset.split import ImageSplit, Jpegs, in_offsets
from ml.dataset.tag_list import FacetTags, TagList
from ml.experiments.make import network_of
from ml.models.architectures import CONVNEXT_BASE, Backbone
from ml.models.clip import Clip
from ml.models.network import Network
from ml.models.tokens import tokenize
from ml.training.cost import cost_of
from ml.training.device import Device, network_on, use_device
from ml.training.image_texts import ImageTexts
from ml.training.optimization import compiles
from ml.training.progress import Progress
from ml.training.recipe import Recipe
from ml.training.train import train
from pipeline import FACETS

TAGS, TURNS = 100, 2
PEAK = 989e12  # FLOP/s, bf16 dense, NVIDIA's data sheet of H100 SXM and H200
CPU_MODEL = Backbone("mobilenetv2_100", options={"pad_type": "same"})


def main() -> None:
    """Ours and the peer in turns; the fastest of each counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", choices=("convnext", "clip"))
    parser.add_argument("--images", type=int)
    parser.add_argument("--workers", type=int, default=max(1, len(os.sched_getaffinity(0)) - 1))
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto")
    asked = parser.parse_args()
    n = asked.images or (25_600 if asked.gpu else 256)
    chosen = replace(recipe_for(asked.gpu, asked.workers), compile=asked.compile)
    key = "clip_1_tag" if asked.gpu == "clip" else "multilabel"
    with (
        tempfile.TemporaryDirectory(prefix="eufcc-trainer-") as name,
        use_device("cuda" if asked.gpu else "cpu") as here,
    ):
        write_pictures(Path(name) / "all", n, 256)
        found: dict[str, list[float]] = {"ours": [], "peer": [], "resident": []}
        for _ in range(TURNS):
            torch.compiler.reset()
            speed, wait, forward = ours(Path(name), key, chosen, here)
            found["ours"].append(speed)
            if asked.gpu != "clip":
                found["peer"].append(bare(chosen, here, loaded(Path(name), chosen)))
            found["resident"].append(resident(key, chosen, here))
        print(json.dumps(line(asked.gpu, n, chosen, found, wait, forward)))


def recipe_for(gpu: str | None, workers: int) -> Recipe:
    """The paper's recipe; on a CPU a small network and batch in place of its own."""
    if gpu == "clip":
        return replace(recipe("clip_1_tag", "full"), pretrained=False, epochs=2, batch=256, workers=workers)
    common = replace(recipe("multilabel", "full"), pretrained=False, epochs=2, repeats=1, workers=workers)
    common = replace(common, backbone=CONVNEXT_BASE if gpu else CPU_MODEL, checkpoint_s=float("inf"))
    return common if gpu else replace(common, image_size=128, batch=32)


def line(
    gpu: str | None, n: int, chosen: Recipe, found: dict[str, list[float]], wait: float, forward: float
) -> dict[str, Any]:
    """The result; a speed is images (or pairs) a second."""
    best = {side: max(speeds) for side, speeds in found.items() if speeds}
    peer = "peer" if "peer" in best else "resident"
    spread = "; ".join(f"{s} {' and '.join(f'{v:.1f}' for v in speeds)}" for s, speeds in found.items() if speeds)
    note = (
        f"images/s in two turns: {spread}; ours waits for data {wait:.1%} of the time and reaches "
        f"{best['ours'] / best['resident']:.0%} of a resident batch; batch {chosen.batch} at {chosen.size} px, "
        f"{chosen.workers} workers"
    )
    if gpu:
        utilisation = 3 * forward * 1e9 * best["ours"] / PEAK
        how = "eager" if chosen.compile == "off" else "compiled"
        note += f"; {how}; model-FLOP utilisation {utilisation:.1%} on {torch.cuda.get_device_name()}"
    return {
        "name": f"trainer {gpu or 'cpu'}",
        "n": n,
        "ours_s": round(n / best["ours"], 2),
        "peer": "timm in a bare loop" if peer == "peer" else "the same model on a resident batch",
        "peer_version": timm.__version__,
        "peer_s": round(n / best[peer], 2),
        "ratio": round(best["ours"] / best[peer], 3),
        "ours_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peer_rss_mb": None,  # all run in one process, so that they share its GPU
        "note": note,
    }


def ours(folder: Path, key: str, chosen: Recipe, here: Device) -> tuple[float, float, float]:
    """Images a second and share of waiting in the second epoch of our loop, and GFLOP of a forward pass."""
    split, tag_list = described(folder)
    model, _ = network_of(baseline(key), chosen, tag_list, None, seed=0)
    model = network_on(model, here.torch_device, chosen)
    images = Images(split, tag_list, chosen.training_view)
    if isinstance(model, Clip):
        images = ImageTexts(split, tag_list, images.view, 0, chosen, model.prompt, model.text_input)
    forward = cost_of(model, chosen, here)["gflop_per_image"]
    events = io.StringIO()
    train(
        *(model, images, chosen, here),
        seed=0,
        identity="benchmark",
        validate=lambda network: {"mean": 0.0},
        progress=Progress(key, events=events),
        checkpoint=folder / "checkpoint.safetensors",
    )
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    last = json.loads(events.getvalue().splitlines()[-1])
    return last["images_per_s"], last["data_wait"], forward


def described(folder: Path) -> tuple[ImageSplit, TagList]:
    """The pictures with three tags each, drawn from a seed."""
    files = sorted((folder / "all").glob("*.jpg"))
    rng = np.random.default_rng(340)
    tags = in_offsets([np.sort(rng.choice(TAGS, 3, replace=False)) for _ in files])
    nobody = in_offsets([np.empty(0, np.int64) for _ in files])
    names = tuple(file.stem for file in files)
    stored = pa.chunked_array([pa.array([file.read_bytes() for file in files], pa.large_binary())])
    jpegs = Jpegs(stored, np.arange(len(files)))
    facet = FACETS[0]
    split = ImageSplit("train", names, (0,) * len(names), ("",) * len(names), jpegs, {facet: tags}, {facet: nobody})
    numbers = tuple(str(number) for number in range(TAGS))
    labels = tuple(f"thing number {number}" for number in numbers)
    return split, TagList("", "", {facet: FacetTags(facet, numbers, labels, (-1,) * TAGS, (10,) * TAGS)})


def loaded(folder: Path, chosen: Recipe) -> Any:
    """timm's loader over the same files, with its transforms for training."""
    from timm.data import create_loader
    from torchvision.datasets import ImageFolder

    return create_loader(
        ImageFolder(str(folder)),
        input_size=(3, chosen.size, chosen.size),
        batch_size=chosen.batch,
        is_training=True,
        use_prefetcher=torch.cuda.is_available(),
        num_workers=chosen.workers,
        color_jitter=0.0,
        interpolation="bilinear",
        persistent_workers=chosen.workers > 0,
    )


def bare(chosen: Recipe, here: Device, batches: Any) -> float:
    """Images a second of the second epoch of the ten lines that everyone writes first."""
    name = chosen.backbone.name.split(".")[0]
    model = timm.create_model(name, num_classes=TAGS, **chosen.backbone.options).to(here.torch_device).train()
    network = torch.compile(model) if compiles(chosen, here) else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.lr, weight_decay=chosen.weight_decay)
    target = (torch.rand(chosen.batch, TAGS, device=here.torch_device) < 0.03).float()
    speed = 0.0
    for _ in range(2):
        began, seen = time.perf_counter(), 0
        for image, _label in batches:
            with torch.autocast(here.torch_device.type, dtype=torch.bfloat16, enabled=here.cuda):
                logits = network(image.to(here.torch_device, non_blocking=True))
                loss = nn.functional.binary_cross_entropy_with_logits(logits, target[: len(logits)])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(logits)
        finished(here)
        speed = seen / (time.perf_counter() - began)
    return speed


def resident(key: str, chosen: Recipe, here: Device, steps: int = 8) -> float:
    """Images a second of our network on one batch that never moves."""
    _, tag_list = described(Path(os.devnull))
    model, _ = network_of(baseline(key), chosen, tag_list, None, seed=0)
    model = network_on(model, here.torch_device, chosen).train()
    network = torch.compile(model) if compiles(chosen, here) else model
    batch = one_batch(model, chosen, here)
    optimizer = torch.optim.AdamW(model.parameters(), lr=chosen.lr, weight_decay=chosen.weight_decay)
    began = time.perf_counter()
    for step in range(2 + steps):
        if step == 2:
            finished(here)
            began = time.perf_counter()
        with torch.autocast(here.torch_device.type, dtype=torch.bfloat16, enabled=here.cuda):
            outputs = network(batch)
        model.loss(outputs, batch, model.weights(batch)).backward()
        optimizer.step()
        optimizer.zero_grad()
    finished(here)
    return steps * chosen.batch / (time.perf_counter() - began)


def one_batch(model: Network, chosen: Recipe, here: Device) -> dict[str, Tensor]:
    """Noise with tags, on the device."""
    image = torch.randn(chosen.batch, 3, chosen.size, chosen.size, device=here.torch_device)
    closed = torch.rand(chosen.batch, TAGS, device=here.torch_device) < 0.03
    sampled = torch.zeros(chosen.batch, 1, dtype=torch.long, device=here.torch_device)
    batch = {"image": image.contiguous(memory_format=torch.channels_last), "closed": closed, "sampled_tag": sampled}
    if isinstance(model, Clip):
        texts = [f"thing number {number % TAGS}" for number in range(chosen.batch)]
        batch["tokens"] = tokenize(texts, model.text_input).to(here.torch_device)
    return batch


def finished(here: Device) -> None:
    """Wait until the device has done all that it was asked."""
    if here.cuda:
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
