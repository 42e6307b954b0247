"""The card of an exported model: metadata for the hub, how to load it, its figures with their intervals, its limits."""

from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ml.models.card import NetworkCard
from ml.models.cards import LICENCES
from ml.models.heads.multilabel import Multilabel
from ml.models.heads.softmax import Softmax
from ml.models.network import Network
from ml.models.vision import VisionModel
from ml.registry.libraries import Library, library_of
from ml.registry.memory import memory_of
from ml.training.recipe import Recipe
from pipeline import DATASET_SPLITS
from pipeline.facets import FACET_OF
from pipeline.settings import ReleaseSettings
from pipeline.tables import IGNORE_UNSEEN
from pipeline.templates import render

TEMPLATE = Path(__file__).with_name("model_card.md")
RANK = "avg_rank_position"
MAIN = {"r_precision": "R-Precision", "acc_at_1": "Acc@1", "acc_at_10": "Acc@10", RANK: "Rank"}  # shown
MEAN = "mean"
OWN_LICENCE = "apache-2.0"  # of weights that started at random: this project's
HUB = "huggingface.co/"


def model_card(
    described: dict[str, Any],
    network: Network,
    recipe: Recipe,
    results: list[dict[str, Any]],
    difference: float | None,
    release: ReleaseSettings,
) -> str:
    """README.md of a model folder.

    `described` is its model.json; `results` are rows of the results table, of which the model's are shown;
    `difference` is that of its ONNX file, None without one.
    """
    wanted = (described["baseline"], IGNORE_UNSEEN)
    rows = [r for r in results if (r["baseline"], r["policy"]) == wanted and r["metric"] in MAIN]
    view = recipe.evaluation_view
    library, biased = library_of(network, recipe), getattr(network, "logit_bias", None) is not None
    heads = list(network.heads.values()) if isinstance(network, VisionModel) else []
    return render(
        TEMPLATE,
        metadata=metadata(described, recipe.card, library, rows, release).to_yaml(),
        model=described,
        library=library,
        probabilities=(heads[0] if heads else Multilabel if biased else Softmax).in_words,
        biased=biased,
        remembers=memory_of(network) is not None,
        inexact=library in ("timm", "open_clip")
        and (view.fit == "box" or (library == "open_clip" and view.part != 1.0)),  # open_clip knows no part
        metrics=MAIN.values(),
        figures=figures(rows),
        difference=difference,
    )


def figures(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The cells of the card's table: a line for each test and facet, the mean last."""
    order = [*FACET_OF, MEAN]
    found = {(row["split"], row["facet"], row["metric"]): row for row in rows}
    known = sorted({key[:2] for key in found}, key=lambda key: (DATASET_SPLITS.index(key[0]), order.index(key[1])))
    lines = []
    for split, facet in known:
        of_metrics = [found.get((split, facet, metric)) for metric in MAIN]
        images = next(row["n"] for row in of_metrics if row)
        told = "" if facet == MEAN else f"{images:,}"  # of the mean, the images of all facets together
        lines.append([split.replace("_", " "), _named(facet), *map(_cell, of_metrics), told])
    return lines


def _named(facet: str) -> str:
    return "mean of the facets" if facet == MEAN else FACET_OF[facet].title.lower()


def _cell(row: dict[str, Any] | None) -> str:
    """A figure, with its interval where it has one."""
    if row is None or row["value"] is None:
        return "–"
    digits = 1 if row["metric"] == RANK else 3
    ends = "" if row["low"] is None else f" ({row['low']:.{digits}f} to {row['high']:.{digits}f})"
    return f"{row['value']:.{digits}f}{ends}"


def metadata(
    described: dict[str, Any],
    card: NetworkCard,
    library: Library,
    rows: list[dict[str, Any]],
    release: ReleaseSettings,
) -> ModelCardData:
    """What the hub reads: library, licence of the weights, what they started from, dataset, figures."""
    repository = card.weights.source.removeprefix(HUB) if card.weights and card.weights.source.startswith(HUB) else None
    measured = [
        EvalResult(
            task_type="image-classification",
            dataset_type=release.repository or "eufcc",
            dataset_name=f"{release.name} {release.version}",
            dataset_config=row["facet"],
            dataset_split=row["split"],
            dataset_revision=described["split_hash"],
            metric_type=row["metric"],
            metric_name=f"{MAIN[row['metric']]} ({_named(row['facet'])})",
            metric_value=row["value"],
        )
        for row in rows
        if row["value"] is not None
    ]
    return ModelCardData(
        library_name=library,
        pipeline_tag="zero-shot-image-classification" if library == "open_clip" else "image-classification",
        tags=["cultural-heritage", "multi-label", "art-and-architecture-thesaurus"],
        datasets=[release.repository] if release.repository else None,
        base_model=repository,
        model_name=f"EUFCC {described['baseline']}",
        eval_results=measured or None,
        **_licence(card),
    )


def _licence(card: NetworkCard) -> dict[str, Any]:
    """The licence as the hub names it; `other` with name and link where it has no name for it."""
    if card.weights is None:
        return {"license": OWN_LICENCE}
    if card.licence is None:
        return {"license": "unknown"}
    name = next((n for n, known in LICENCES["spdx"].items() if known["spdx"] == card.licence.spdx), None)
    if name and not card.licence.spdx.startswith("LicenseRef-"):
        return {"license": name}
    named = card.licence.spdx.removeprefix("LicenseRef-")
    return {"license": "other", "license_name": named, "license_link": card.licence.source}
