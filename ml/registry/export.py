"""Models for others: as the libraries load them, and as ONNX, with preprocessing in words and a card."""

import math
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from ml.dataset.tag_list import TagList
from ml.dataset.transforms import View
from ml.models.network import Network
from ml.registry.libraries import library_of, write_for_library
from ml.registry.load import LoadError, load_row
from ml.registry.memory import memory_of
from ml.registry.memory_table import write_memory
from ml.registry.model_card import model_card
from ml.training.checkpoints import read_description
from ml.training.recipe import Recipe
from pipeline.files import whole_folder, write_json, write_text
from pipeline.settings import load

TOLERANCE = 1e-3  # natural logs of probabilities, over random images
LIBRARY_TOLERANCE = 1e-4  # logits; merged adapters round, and logits of CLIP are up to 100
OPSET = 18
MEMORY_FILE = "memory.parquet"
MEMORY = ("features", "closed", "annotated", "with_tag", "in_facet")  # the tensors of Memory that answers depend on
PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # of the extra `export`


class ExportError(LoadError):
    """A model that cannot be exported, or whose export does not answer as the model does."""


class Answers(nn.Module):
    """A row as one function of the image: one tensor per facet, and the features where the row has a memory."""

    def __init__(self, network: Network, facets: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.facets = network, facets

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """As of Exported."""
        outputs = self.network({"image": image})
        scores = self.network.log_scores(outputs)
        features = () if memory_of(self.network) is None else (outputs["features"],)
        return (*(scores[facet] for facet in self.facets), *features)


class Exported(nn.Module):
    """A row as one function: normalised pixels in, natural log of each tag's probability out.

    Of a row with a memory, what it remembers goes in too, so that the file beside the table of its memory can take in
    more images; the features come out, by which they are remembered.
    """

    def __init__(self, network: Network, facets: tuple[str, ...]) -> None:
        super().__init__()
        self.answers = Answers(network, facets)
        self.outputs = [*facets, *(["features"] if memory_of(network) is not None else [])]

    def remembered(self) -> dict[str, Tensor]:
        """The inputs beside the image: the tensors of the memory, empty where the row has none."""
        memory = memory_of(self.answers.network)
        return {} if memory is None else {f"memory_{name}": getattr(memory, name) for name in MEMORY}

    def dynamic_shapes(self) -> dict[str, Any]:
        """Any number of images, and of remembered images at least as many as vote."""
        memory = memory_of(self.answers.network)
        if memory is None:
            return {"image": {0: torch.export.Dim("n")}}
        remembered = {0: torch.export.Dim("remembered", min=memory.k)}
        return {"image": {0: torch.export.Dim("n")}, "memory": (remembered, remembered, remembered, None, None)}

    def forward(self, image: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """`image` float32 (n, 3, height, width); one tensor (n, tags) per facet, and features (n, width)."""
        if not memory:
            return self.answers(image)
        tensors = {f"network.memory.{name}": tensor for name, tensor in zip(MEMORY, memory, strict=True)}
        return functional_call(self.answers, tensors, (image,))


def export_onnx(network: Network, recipe: Recipe, tag_list: TagList, file: Path) -> float:
    """Write `file` (ONNX, any number of images) and return the largest difference from torch, in log probability.

    The network is one that `load_row` gave. Parity is asserted on random images with onnxruntime, for one image and for
    three. A memory is no part of the file, but a further input. Raises ExportError.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX needs {', '.join(missing)}: install `eufcc[export]`, or leave ONNX out (--no-onnx).")
    exported = Exported(network, tuple(tag_list.facets)).eval()
    size, remembered = recipe.size, exported.remembered()
    with torch.inference_mode():
        exported(torch.zeros(1, 3, size, size), *remembered.values())  # CLIP embeds its texts once, here
    program = torch.onnx.export(
        exported,
        (torch.zeros(2, 3, size, size), *remembered.values()),
        input_names=["image", *remembered],
        output_names=exported.outputs,
        dynamic_shapes=exported.dynamic_shapes(),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise ExportError("The model could not be turned into ONNX.")
    file.parent.mkdir(parents=True, exist_ok=True)
    program.save(str(file), include_initializers=True)
    difference = max(parity(exported, file, n, size) for n in (1, 3))
    if not difference <= TOLERANCE:
        file.unlink()
        raise ExportError(f"The ONNX file differs by {difference:.2g} from the model: not written.")
    return difference


def parity(exported: Exported, file: Path, n: int, size: int) -> float:
    """The largest difference between the model and its ONNX file over `n` random images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(n).normal(size=(n, 3, size, size)).astype(np.float32)
    remembered = exported.remembered()
    with torch.inference_mode():
        wanted = exported(torch.from_numpy(image), *remembered.values())
    answered = session.run(None, {"image": image} | {name: tensor.numpy() for name, tensor in remembered.items()})
    return max(float(np.abs(f - w.numpy()).max()) for f, w in zip(answered, wanted, strict=True))


def preprocessing(recipe: Recipe) -> dict[str, Any]:
    """How an image becomes the model's input."""
    image, view = recipe.card.input, recipe.evaluation_view
    return {
        "central_part": view.part,
        "fit": view.fit,
        "image_size": view.size,
        "interpolation": view.interpolation,
        "in_words": (
            f"RGB; {_in_words(view)} ({view.interpolation}); values from 0 to 1, minus mean, by std; channels first."
        ),
        "mean": list(image.mean),
        "std": list(image.std),
    }


def _in_words(view: View) -> str:
    """How the picture is cut and scaled."""
    pixels, scaled = f"{view.size} x {view.size} pixels", math.floor(view.size / view.part)
    if view.fit == "box":
        return f"the central square of {view.part:g} of the short side, resized to {pixels}"
    if view.fit == "squash":
        return f"resized to {scaled} x {scaled} pixels whatever its shape, of which the central {pixels}"
    if view.fit == "longest":
        return f"resized to a long side of {scaled} pixels, padded to a square, of which the central {pixels}"
    return f"resized to a short side of {scaled} pixels, of which the central {pixels}"


def write_model_release(
    model: Path, dataset: Path, results: list[dict[str, Any]], folder: Path, *, onnx: bool = True
) -> Path:
    """A folder for the hub that timm, open_clip or EUFCC loads, with tag list, preprocessing, card and ONNX.

    `results` are rows of the results table; the card shows this model's. What a row remembers is a table beside it.
    Raises ExportError, where what a library loads from the folder answers otherwise too, and CheckpointError.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "model.json").is_file():
        raise ExportError(f"{folder} holds other files than an earlier export: give a new folder with --out.")
    network, recipe, tag_list = load_row(model, dataset)
    described = read_description(model)
    with whole_folder(folder) as new:
        write_json(described, new / "model.json")
        shutil.copyfile(dataset / "tag_list.json", new / "tag_list.json")
        write_json(preprocessing(recipe), new / "preprocessing.json")
        difference = export_onnx(network, recipe, tag_list, new / "model.onnx") if onnx else None
        if (memory := memory_of(network)) is not None:
            write_memory(memory, tag_list, dataset, new / MEMORY_FILE)
        card = model_card(described, network, recipe, results, difference, load().release)
        write_text(card, new / "README.md")
        if library_of(network, recipe) == "eufcc":
            shutil.copyfile(model / "weights.safetensors", new / "weights.safetensors")
        else:
            _write_for_library(network, recipe, tag_list, new)
    return folder


def _write_for_library(network: Network, recipe: Recipe, tag_list: TagList, folder: Path) -> None:
    difference = write_for_library(network, recipe, tag_list, folder)
    if not difference <= LIBRARY_TOLERANCE:
        library = library_of(network, recipe)
        raise ExportError(f"What {library} loads differs by {difference:.2g} from the model: not exported.")
