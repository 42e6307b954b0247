"""The trained models of a storage folder: their descriptions, how they are loaded, and the default one."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ml.assistant.models import Models
from ml.assistant.suggest import ModelInfo, Suggester
from ml.assistant.thresholds import OnValidation, on_validation
from ml.registry.champion import read_contender
from pipeline import FACETS
from pipeline.files import sha256_of

# The paper's tool used the ensemble of all three; without figures from validation it is the first choice.
PREFERRED = ("ensemble_ml_s_clip", "ensemble_ml_s", "multilabel", "softmax")


class ModelError(RuntimeError):
    """A trained model cannot be used at the assistant; the message says which and what to do."""


def find_models(models: Path, predictions: Path, dataset: Path, order: Mapping[str, list[str]]) -> Models:
    """The models in a folder that fit the dataset's tag list; those that do not fit are left out.

    The default is the best on validation: the highest mean R-Precision over facets in `model.json`.
    """
    tag_list_hash = json.loads((dataset / "tag_list.json").read_text(encoding="utf-8"))["tag_list_hash"]
    described = {key: model for key, model in _all(models).items() if model.get("tag_list_hash") == tag_list_hash}
    known = on_validation(predictions, described, dataset)
    worth = {key: known.get(key, OnValidation()) for key in described}
    infos = [_info(models / key, model, worth[key].sure_from) for key, model in described.items()]
    loaders = {info.key: partial(_suggester, info, models, dataset, order) for info in infos}
    calibrations = {key: of_model.calibration for key, of_model in worth.items()}
    return Models(loaders, infos, default_of(described), calibrations)


def start_with(models: Models, wanted: str | None, storage: Path) -> None:
    """Make the wanted model the default; without a wish the promoted one, where it is among them.

    Raises ModelError when the wanted model is not there.
    """
    if wanted is None:
        promoted = read_contender(storage / "champion" / "champion.json")
        wanted = promoted.baseline if promoted and promoted.baseline in models.infos else models.default
    elif wanted not in models.infos:
        there = ", ".join(models.infos) or "none"
        raise ModelError(f"There is no trained model `{wanted}` in the storage; there are: {there}.")
    models.default = wanted


def default_of(described: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The key of the model that is best on validation over all facets; else by PREFERRED; None without models."""

    def goodness(key: str) -> tuple[int, float, int]:
        figures = described[key].get("validation") or {}
        place = PREFERRED.index(key) if key in PREFERRED else len(PREFERRED)
        return len(set(figures) & set(FACETS)), float(figures.get("mean") or 0.0), -place

    return max(described, key=goodness, default=None)


def _all(models: Path) -> dict[str, dict[str, Any]]:
    """`model.json` of every finished model, by the model's key."""
    described = {}
    for file in sorted(models.glob("*/model.json")):
        try:
            described[file.parent.name] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{file} is damaged ({error}): train {file.parent.name} again.") from error
    return described


def _info(folder: Path, described: Mapping[str, Any], thresholds: Mapping[str, float]) -> ModelInfo:
    weights = folder / "weights.safetensors"
    figures = described.get("validation") or {}
    return ModelInfo(
        key=folder.name,
        description=f"R-Precision on validation {figures['mean']:.3f}" if "mean" in figures else "",
        version=sha256_of(weights if weights.exists() else folder / "model.json")[:12],
        trained_on=str(described.get("split_hash", ""))[:12],
        thresholds=described.get("thresholds") or thresholds,
        note="random start" if str(described.get("weights", "")).startswith("random") else "",
    )


def _suggester(info: ModelInfo, models: Path, dataset: Path, order: Mapping[str, list[str]]) -> Suggester:
    """The model ready to suggest. Raises ModelError."""
    from ml.registry.load import LoadError
    from ml.registry.score import Scorer  # torch takes seconds to import

    try:
        return Suggester(info, Scorer(info.key, models, dataset), order)
    except LoadError as error:
        raise ModelError(str(error)) from error
