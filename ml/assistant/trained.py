"""The trained models of a storage folder: their descriptions, how they are loaded, and the default one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ml.assistant.service import Models
from ml.assistant.suggest import ModelInfo, Scorer, Suggester
from ml.assistant.thresholds import Truth, read_truth, sure_from
from ml.registry.champion import read_contender
from pipeline import FACETS
from pipeline.files import sha256_of

# The paper's tool used the ensemble of all three; without figures from validation it is the first choice.
PREFERRED = ("ensemble_ml_s_clip", "ensemble_ml_s", "multilabel", "softmax")


class ModelError(RuntimeError):
    """A trained model cannot be used at the assistant; the message says which and what to do."""


@dataclass(frozen=True)
class Trained:
    """A finished model's folder with its `model.json`."""

    folder: Path
    described: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The baseline's key."""
        return self.folder.name


def find_models(models: Path, predictions: Path, dataset: Path, order: Mapping[str, list[str]]) -> Models:
    """The models in a folder that fit the dataset's tag list; those that do not fit are left out.

    The default is the best on validation: the highest mean R-Precision over facets in `model.json`.
    """
    tag_list_hash = json.loads((dataset / "tag_list.json").read_text(encoding="utf-8"))["tag_list_hash"]
    found = [model for model in _all(models) if model.described.get("tag_list_hash") == tag_list_hash]
    truth = read_truth(dataset, order)
    infos = [_info(model, predictions / model.key / "validation", truth, tag_list_hash) for model in found]
    loaders = {
        model.key: partial(_suggester, model, models, dataset, order, info)
        for model, info in zip(found, infos, strict=True)
    }
    return Models(loaders, infos, default_of(found))


def start_with(models: Models, wanted: str | None, storage: Path) -> None:
    """Make the wanted model the default; without a wish the promoted one, where it is among them.

    Raises ModelError when the wanted model is not there.
    """
    if wanted is not None and wanted not in models.infos:
        there = ", ".join(models.infos) or "none"
        raise ModelError(f"There is no trained model `{wanted}` in the storage; there are: {there}.")
    promoted = read_contender(storage / "champion" / "champion.json")
    if wanted is not None:
        models.default = wanted
    elif promoted is not None and promoted.baseline in models.infos:
        models.default = promoted.baseline


def default_of(models: Sequence[Trained]) -> str | None:
    """The key of the model that is best on validation over all four facets; else by PREFERRED; None without models."""

    def goodness(model: Trained) -> tuple[int, float, int]:
        figures = model.described.get("validation") or {}
        facets = len(set(figures) & set(FACETS))
        place = PREFERRED.index(model.key) if model.key in PREFERRED else len(PREFERRED)
        return facets, float(figures.get("mean") or 0.0), -place

    return max(models, key=goodness).key if models else None


def _all(models: Path) -> list[Trained]:
    found = []
    for file in sorted(models.glob("*/model.json")):
        try:
            found.append(Trained(file.parent, json.loads(file.read_text(encoding="utf-8"))))
        except ValueError as error:
            raise ModelError(f"{file} is damaged ({error}): train {file.parent.name} again.") from error
    return found


def _info(model: Trained, predictions: Path, truth: Truth, tag_list_hash: str) -> ModelInfo:
    weights = model.folder / "weights.safetensors"
    start = str(model.described.get("weights", ""))
    figures = model.described.get("validation") or {}
    return ModelInfo(
        key=model.key,
        description=f"R-Precision on validation {figures['mean']:.3f}" if "mean" in figures else "",
        version=sha256_of(weights if weights.exists() else model.folder / "model.json")[:12],
        trained_on=str(model.described.get("split_hash", ""))[:12],
        thresholds=model.described.get("thresholds") or sure_from(predictions, truth, tag_list_hash),
        note="random start" if start.startswith("random") else "",
    )


def _suggester(
    model: Trained, models: Path, dataset: Path, order: Mapping[str, list[str]], info: ModelInfo
) -> Suggester:
    return Suggester(info, load(model, models, dataset), order)


def load(model: Trained, models: Path, dataset: Path) -> Scorer:
    """The model ready to score. Raises ModelError."""
    from ml.registry.load import LoadError
    from ml.registry.score import load_scorer  # torch takes seconds to import

    try:
        return load_scorer(model.key, models, dataset)
    except LoadError as error:
        raise ModelError(str(error)) from error
