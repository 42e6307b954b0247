"""The rows of the benchmark as data, and the recipe each is trained with (protocol, section 5)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ml.models.architectures import CONVNEXT_BASE, GABOR, MOBILENETV2, OPENAI_MEAN, OPENAI_STD
from ml.models.prompts import Prompt, TextTower
from ml.training.recipe import BaselineError, Recipe
from pipeline import FACETS

Profile = Literal["demo", "full"]


@dataclass(frozen=True)
class Vision:
    """An image network with one head per facet."""

    key: str
    head: str
    class_weights: bool = False
    facets: tuple[str, ...] = FACETS
    frozen: bool = False  # True: only the heads are trained
    kind: Literal["vision"] = "vision"


@dataclass(frozen=True)
class Clip:
    """CLIP; `prompt` is the text of training and of ranking."""

    key: str
    prompt: Prompt
    trained: bool = True
    wise: str | None = None  # the fine-tuned row whose weights are mixed with the zero-shot ones (WiSE-FT)
    kind: Literal["clip"] = "clip"


@dataclass(frozen=True)
class Ensemble:
    """The mean of its members' scores on one scale."""

    key: str
    members: tuple[str, ...]
    kind: Literal["ensemble"] = "ensemble"


Baseline = Vision | Clip | Ensemble
PAPER_ROWS: tuple[Baseline, ...] = (
    Vision("multilabel", "multilabel"),
    Vision("multilabel_materials", "multilabel", facets=("materials",)),
    Vision("softmax", "softmax"),
    Vision("softmax_wce", "softmax", class_weights=True),
    Vision("hsoftmax_nodes", "hsoftmax_nodes", class_weights=True),
    Vision("hsoftmax_levels", "hsoftmax_levels", class_weights=True),
    Clip("clip_zero_shot", "one_tag", trained=False),
    Clip("clip_1_tag", "one_tag"),
    Clip("clip_all_tags", "all_tags"),
    Clip("clip_1_tag_prompt", "one_tag_prompt"),
    Ensemble("ensemble_ml_s", ("multilabel", "softmax")),
    Ensemble("ensemble_ml_s_clip", ("multilabel", "softmax", "clip_1_tag_prompt")),
)
# Beyond the paper. The hierarchical rows above are coherent too: no tag outranks its ancestors.
FURTHER_ROWS: tuple[Baseline, ...] = (
    Vision("linear_probe", "multilabel", frozen=True),
    Vision("multilabel_asl", "asymmetric"),
    Vision("hsoftmax", "hsoftmax_nodes"),
    Clip("clip_zero_shot_prompt", "one_tag_prompt", trained=False),
    Clip("clip_path_prompt", "path_prompt"),
    Clip("clip_wise_ft", "one_tag_prompt", trained=False, wise="clip_1_tag_prompt"),
)
BASELINES: dict[str, Baseline] = {row.key: row for row in PAPER_ROWS + FURTHER_ROWS}


def recipe(key: str, profile: Profile, weights: Path | None = None) -> Recipe:
    """The recipe of a row. The demo's differ in size alone: a network that a laptop trains in seconds."""
    row = baseline(key)
    if profile not in get_args(Profile):
        raise BaselineError(f"There is no profile `{profile}`; it must be demo or full.")
    if profile == "full":
        return _full(row)
    return _demo_mobilenet(row) if weights is not None else _demo_gabor(row)


def baseline(key: str) -> Baseline:
    """The row of that key. Raises BaselineError."""
    if key not in BASELINES:
        raise BaselineError(f"There is no baseline `{key}`; there are {', '.join(BASELINES)}.")
    return BASELINES[key]


def _full(row: Baseline) -> Recipe:
    if row.kind != "clip":
        return Recipe(freeze=-1 if getattr(row, "frozen", False) else 0)
    return Recipe(
        backbone=replace(CONVNEXT_BASE, mean=OPENAI_MEAN, std=OPENAI_STD),
        open_clip="ViT-B-16",  # paper
        eval_part=1.0,  # ours: CLIP's own evaluation crop
        repeats=1,  # ours
        epochs=100,  # paper
        batch=64,  # paper
        lr=3e-5,  # paper
        betas=(0.9, 0.99),  # paper
        eps=1e-8,  # paper
        weight_decay=0.1,  # paper
        warmup_steps=500,  # paper
        clip_norm=1.0,  # paper
        positives="same_text" if row.key == "clip_path_prompt" else "pairs",
    )


def _demo_gabor(row: Baseline) -> Recipe:
    """Fixed filters with a small trained part, 128 px: a laptop's minute for all rows, and nothing to download."""
    common = Recipe(
        backbone=GABOR,
        pretrained=False,
        freeze=-1 if getattr(row, "frozen", False) else 1,
        frozen_views=4,
        image_size=128,
        crop_scale_min=0.5,
        eval_part=1.0,
        cache_px=144,
        repeats=1,
        epochs=16,
        batch=64,
        lr=5e-3,
        warmup_steps=30,
        clip_norm=1.0,
        prior_bias=True,
        compile="off",  # it takes longer than these trainings
        tensorboard=False,
        workers=0,
        eval_batch=32,  # as many pictures as the processor's cache holds
        threads=1,  # the network is so small that two threads mostly wait for each other
    )
    return replace(common, **DEMO_CLIP) if row.kind == "clip" else common


def _demo_mobilenet(row: Baseline) -> Recipe:
    """ImageNet weights, 128 px; all blocks but the last are frozen, and pass each image's views once."""
    common = replace(
        _demo_gabor(row),
        backbone=MOBILENETV2,
        pretrained=True,
        cache_px=160,
        freeze=-1 if getattr(row, "frozen", False) else 6,
        epochs=10,
        lr=3e-4,
        head_lr=3e-3,
        warmup_steps=40,
        threads=None,
    )
    return replace(common, epochs=14) if row.kind == "clip" else common


# A text tower that is trained from random weights beside the demo's image network.
DEMO_CLIP: dict[str, Any] = {
    "text_tower": TextTower(context=24, width=96, heads=4, layers=1, embed=96),
    "batch": 128,
    "epochs": 20,
    "lr": 3e-3,
    "instances": "per_image",
    "positives": "same_text",
}
