"""The rows of the benchmark as data, and the recipe each is trained with (protocol, section 5).

A row says what it scores, what it needs and whether it is trained; ml/experiments/make.py says how each kind is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ml.models.architectures import CONVNEXT_BASE, GABOR, MOBILENETV2, OPENAI_MEAN, OPENAI_STD
from ml.models.prompts import Prompt, TextTower
from ml.training.recipe import BaselineError, Recipe
from pipeline import FACETS

Profile = Literal["demo", "full"]


@dataclass(frozen=True)
class Baseline:
    """A row of the benchmark; each subclass is a kind of row."""

    key: str
    facets: tuple[str, ...] = field(default=FACETS, kw_only=True)  # that it has scores for

    @property
    def kind(self) -> str:
        """The kind's name, for people."""
        return type(self).__name__.lower()

    @property
    def needs(self) -> tuple[str, ...]:
        """The rows that must be made before this one."""
        return ()

    @property
    def trainable(self) -> bool:
        """Whether a network is trained to make it."""
        return True

    def recipe_changes(self, base: str) -> Mapping[str, Any]:
        """What differs from the base recipe `full`, `demo`, or `demo_weights`."""
        return {}


@dataclass(frozen=True)
class Vision(Baseline):
    """An image network with one head per facet."""

    head: str
    class_weights: bool = False
    frozen: bool = False  # True: only the heads are trained

    def recipe_changes(self, base: str) -> Mapping[str, Any]:
        """A frozen row trains no block of its network."""
        return {"freeze": -1} if self.frozen else {}


@dataclass(frozen=True)
class Clip(Baseline):
    """CLIP; `prompt` is the text of training and of ranking."""

    prompt: Prompt
    trained: bool = True
    wise: str | None = None  # the fine-tuned row whose weights are mixed with the zero-shot ones (WiSE-FT)

    @property
    def needs(self) -> tuple[str, ...]:
        """WiSE-FT needs the fine-tuned row."""
        return () if self.wise is None else (self.wise,)

    @property
    def trainable(self) -> bool:
        """Zero-shot rows are not trained."""
        return self.trained or self.wise is not None

    def recipe_changes(self, base: str) -> Mapping[str, Any]:
        """The recipe of CLIP; images of one path share its text, so that they are positives of each other."""
        return CLIP_RECIPES[base] | ({"positives": "same_text"} if self.prompt == "path_prompt" else {})


@dataclass(frozen=True)
class Ensemble(Baseline):
    """The mean of its members' scores on one scale."""

    members: tuple[str, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        """Its members."""
        return self.members

    @property
    def trainable(self) -> bool:
        """Only its members are trained."""
        return False


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


def baseline(key: str) -> Baseline:
    """The row of that key. Raises BaselineError."""
    if key not in BASELINES:
        raise BaselineError(f"There is no baseline `{key}`; there are {', '.join(BASELINES)}.")
    return BASELINES[key]


def recipe(key: str, profile: Profile, weights: Path | None = None) -> Recipe:
    """The recipe of a row. The demo's differ in size alone: a network that a laptop trains in seconds."""
    row = baseline(key)
    if profile not in get_args(Profile):
        raise BaselineError(f"There is no profile `{profile}`; it must be demo or full.")
    base = "demo_weights" if profile == "demo" and weights is not None else profile
    return replace(RECIPES[base], **row.recipe_changes(base))


# Fixed filters with a small trained part, 128 px: a laptop's minute for all rows, and nothing to download.
DEMO = Recipe(
    backbone=GABOR,
    pretrained=False,
    freeze=1,
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
# ImageNet weights, 128 px; all blocks but the last are frozen, and pass each image's views once.
DEMO_WEIGHTS = replace(
    DEMO,
    backbone=MOBILENETV2,
    pretrained=True,
    cache_px=160,
    freeze=6,
    epochs=10,
    lr=3e-4,
    head_lr=3e-3,
    warmup_steps=40,
    threads=None,
)
RECIPES: dict[str, Recipe] = {"full": Recipe(), "demo": DEMO, "demo_weights": DEMO_WEIGHTS}

# A text tower that is trained from random weights beside the demo's image network.
DEMO_CLIP: dict[str, Any] = {
    "text_tower": TextTower(context=24, width=96, heads=4, layers=1, embed=96),
    "batch": 128,
    "instances": "per_image",
    "positives": "same_text",
}
CLIP_RECIPES: dict[str, dict[str, Any]] = {
    "full": {
        "backbone": replace(CONVNEXT_BASE, mean=OPENAI_MEAN, std=OPENAI_STD),
        "open_clip": "ViT-B-16",  # paper
        "eval_part": 1.0,  # ours: CLIP's own evaluation crop
        "repeats": 1,  # ours
        "epochs": 100,  # paper
        "batch": 64,  # paper
        "lr": 3e-5,  # paper
        "betas": (0.9, 0.99),  # paper
        "eps": 1e-8,  # paper
        "weight_decay": 0.1,  # paper
        "warmup_steps": 500,  # paper
        "clip_norm": 1.0,  # paper
    },
    "demo": DEMO_CLIP | {"epochs": 20, "lr": 3e-3},
    "demo_weights": DEMO_CLIP | {"epochs": 14},
}
