"""What the row `one` costs beside `multilabel`, both ensembles, and its own export, in one run on this processor.

EfficientNet-Lite0 at 128 px with random weights, the paper's numbers of tags, and a memory of 4,000 images. Rows take
turns, one thread; the median counts. Processor time is compared: other work on the machine does not change it much.
`one_onnx` is the exported file in onnxruntime, which is given the same memory.
"""

import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

from ml.baselines import BASELINES, recipe
from ml.dataset.tag_list import FacetTags, TagList
from ml.experiments.make import network_of
from ml.models.network import Network
from ml.models.one import OneModel
from ml.registry.export import Exported, export_onnx
from ml.training.recipe import Recipe
from pipeline import FACETS

PAPER_TAGS = (910, 276, 33, 8)
MEMORY_IMAGES = 4_000
BATCHES = {1: 40, 32: 8}  # images at a time: turns
ROWS = {
    "one": ("one",),
    "one_without_memory": ("one_without_memory",),
    "multilabel": ("multilabel",),
    "ensemble_ml_s": ("multilabel", "softmax"),
    "ensemble_ml_s_clip": ("multilabel", "softmax", "clip_1_tag_prompt"),
}
ASKED = 1.15  # the most time of `one`, in times of `multilabel`


def tags_of_paper_size() -> TagList:
    """As many tags in each facet as the paper has, all top tags but every second, which lies below the one before."""
    facets = {}
    for number, (facet, n) in enumerate(zip(FACETS, PAPER_TAGS, strict=False)):
        ids = tuple(f"3{number}{at:07d}" for at in range(n))
        labels = tuple(f"tag {at} of {facet}" for at in range(n))
        facets[facet] = FacetTags(facet, ids, labels, tuple(at - 1 if at % 2 else -1 for at in range(n)), (10,) * n)
    return TagList("0" * 64, "0" * 64, facets)


def chosen(key: str) -> Recipe:
    """The recipe of a row. CLIP's own vocabulary needs no file; the tags are embedded before the clock runs."""
    return replace(recipe(key, "full", base="demo_index"), pretrained=False, text_encoder=None)


def networks(tags: TagList) -> dict[str, Network]:
    """The networks of all rows, with random weights; the memory of `one` is full."""
    made = {}
    for key in dict.fromkeys(member for members in ROWS.values() for member in members):
        made[key], _ = network_of(BASELINES[key], chosen(key), tags, None, seed=0)
        made[key].eval()
    one = made["one"]
    assert isinstance(one, OneModel)
    features = torch.nn.functional.normalize(torch.randn(MEMORY_IMAGES, one.tower.width), dim=1)
    one.memory.remember(features, torch.rand(MEMORY_IMAGES, sum(PAPER_TAGS)) < 0.01, torch.arange(MEMORY_IMAGES))
    return made


def passes(made: dict[str, Network], members: tuple[str, ...], images: torch.Tensor) -> Callable[[], None]:
    """One answer of a row: every member looks at the images."""

    def answer() -> None:
        for member in members:
            made[member].log_scores(made[member]({"image": images}))

    return answer


def session_of(network: Network, tags: TagList) -> onnxruntime.InferenceSession:
    """The exported network in onnxruntime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network, chosen("one"), tags, Path(folder) / "one.onnx")
        return onnxruntime.InferenceSession(Path(folder) / "one.onnx", options, providers=["CPUExecutionProvider"])


def runs(session: onnxruntime.InferenceSession, network: Network, images: torch.Tensor) -> Callable[[], None]:
    """One answer of the exported network."""
    remembered = {name: tensor.numpy() for name, tensor in Exported(network, tuple(FACETS)).remembered().items()}
    inputs = {"image": images.contiguous().numpy()} | remembered
    return lambda: session.run(None, inputs) and None


def main() -> None:
    """Print one JSON line."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tags = tags_of_paper_size()
    made = networks(tags)
    session = session_of(made["one"], tags)
    with torch.inference_mode():
        _measure(made, session)


def _measure(made: dict[str, Network], session: onnxruntime.InferenceSession) -> None:
    figures: dict[str, dict[str, float]] = {row: _size(made, members) for row, members in ROWS.items()}
    figures["one_onnx"] = {}
    for batch, turns in BATCHES.items():
        images = torch.randn(batch, 3, 128, 128).contiguous(memory_format=torch.channels_last)
        answers = {row: passes(made, members, images) for row, members in ROWS.items()}
        answers["one_onnx"] = runs(session, made["one"], images)
        for row, milliseconds in _timed(answers, turns).items():
            figures[row][f"ms_per_image_batch_{batch}"] = round(milliseconds / batch, 3)
    ratios = {
        f"batch_{batch}_of_{row}": round(figures["one"][name] / figures[row][name], 3)
        for batch in BATCHES
        for name in (f"ms_per_image_batch_{batch}",)
        for row in figures
        if row != "one"
    }
    ours, peer = (figures[row]["ms_per_image_batch_1"] / 1e3 for row in ("one", "multilabel"))
    line = {"name": "one_model", "n": BATCHES[1], "ours_s": ours, "peer": "multilabel", "peer_version": None}
    line |= {"peer_s": peer, "ratio": round(peer / ours, 3), "peer_rss_mb": None}
    line |= {"ours_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)}
    print(json.dumps(line | {"note": json.dumps({"asked": ASKED, "one_in_times_of": ratios, "rows": figures})}))


def _timed(answers: dict[str, Callable[[], None]], turns: int) -> dict[str, float]:
    """The median milliseconds of processor time of each row's answer, rows in turn, after one answer to warm up."""
    times: dict[str, list[float]] = {row: [] for row in answers}
    for turn in range(turns + 1):
        for row, answer in answers.items():
            began = time.process_time()
            answer()
            if turn:
                times[row].append(1e3 * (time.process_time() - began))
    return {row: statistics.median(each) for row, each in times.items()}


def _size(made: dict[str, Network], members: tuple[str, ...]) -> dict[str, float]:
    """Parameters in millions, megabytes of parameters and buffers (the memory too), GFLOP of one image."""
    image = torch.zeros(1, 3, 128, 128)
    passes(made, members, image)()
    with FlopCounterMode(display=False) as counter:
        passes(made, members, image)()
    tensors = [tensor for member in members for tensor in made[member].state_dict().values()]
    return {
        "parameters_m": round(sum(p.numel() for member in members for p in made[member].parameters()) / 1e6, 3),
        "tensors_mb": round(sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6, 2),
        "gflop": round(counter.get_total_flops() / 1e9, 4),
    }


if __name__ == "__main__":
    main()
