"""The rows of the benchmark as data, and the recipe each is trained with (protocol, section 5).

A row says what it scores, what it needs and whether it is trained; ml/experiments/make.py says how each kind is made.
The recipes are in recipes.toml.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ml.models.architectures import BACKBONES
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

    @property
    def reads_title(self) -> bool:
        """Whether it reads the record's title beside the image, which the other rows do not see."""
        return False

    def recipe_changes(self, base: str) -> Mapping[str, Any]:
        """What differs from the base recipe `full`, `demo`, or `demo_weights`."""
        return {}


@dataclass(frozen=True)
class Vision(Baseline):
    """An image network with one head per facet."""

    head: str
    class_weights: bool = False
    frozen: bool = False  # True: only the heads are trained
    network: str | None = None  # a published network of ml/models/architectures.py; None: the recipe's

    def recipe_changes(self, base: str) -> Mapping[str, Any]:
        """A frozen row trains no block of its network."""
        return ({"freeze": -1} if self.frozen else {}) | _published(self.network)


@dataclass(frozen=True)
class Nearest(Baseline):
    """The tags of the `k` most similar training records."""

    k: int = 20  # DINO's evaluation (arXiv 2104.14294)

    @property
    def trainable(self) -> bool:
        """It only remembers the training records."""
        return False


@dataclass(frozen=True)
class Neighbours(Nearest):
    """The records with the most similar images, on the features of an image network that is not trained."""

    network: str | None = None  # as of a Vision row

    def recipe_changes(self, base: str) -> Mapping[str, Any]:
        """All of the image network is frozen."""
        return {"freeze": -1} | _published(self.network)


@dataclass(frozen=True)
class Title(Nearest):
    """The records with the most similar titles; the image is not looked at."""

    encoder: str = "minilm"  # of ml/models/sentence_encoder.py

    @property
    def reads_title(self) -> bool:
        """It reads nothing else."""
        return True


@dataclass(frozen=True)
class Clip(Baseline):
    """CLIP; `prompt` is the text of training and of ranking."""

    prompt: Prompt
    trained: bool = True
    network: str | None = None  # a model of open_clip, `model:weights`, in place of the recipe's towers
    lora: int = 0  # rank of the adapters that are trained in place of the network (arXiv 2106.09685); 0: all of it
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
        changes = CLIP_RECIPES[base] | ({"positives": "same_text"} if self.prompt == "path_prompt" else {})
        if self.network is not None:
            changes = changes | {"open_clip": self.network, "text_encoder": None} | OWN_INPUT
        return changes | ({"lr": LORA_LR} if self.lora else {})


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

    @property
    def reads_title(self) -> bool:
        """Whether a member does."""
        return any(baseline(member).reads_title for member in self.members)


TEXT_ENCODERS = {"full": "minilm", "demo_index": "minilm"}  # by base recipe; hashed pieces of words in the others


@dataclass(frozen=True)
class One(Baseline):
    """One image network in one pass: a multi-label head, a head on the tags' texts, and a memory.

    docs/experiments/one-model.md says what each part is worth, and which were taken out.
    """

    memory: bool = True  # the most similar training images and decisions
    texts: bool = True  # a head on embeddings of the tags' texts
    k: int = 20  # images of the memory that vote, as in Nearest

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts whose scores are mixed."""
        further = {"texts": self.texts, "memory": self.memory}
        return ("multilabel", *(part for part, wanted in further.items() if wanted))

    def recipe_changes(self, base: str) -> Mapping[str, Any]:
        """The encoder of the tags' texts."""
        return {"text_encoder": TEXT_ENCODERS.get(base)}


# A published network is shown pictures as its publisher says, whatever size the profile's own network has.
OWN_INPUT: dict[str, Any] = {"pretrained": True, "image_size": None, "eval_part": None, "cache_px": None}
LORA_LR = 1e-3  # ours: adapters begin at zero, and stand a higher rate than the network they change


OTHER_SIZE = {"dinov2_base": 224}  # as its authors evaluate it; timm's 518 px cost 6.6 times as much


def _published(network: str | None) -> dict[str, Any]:
    if network is None:
        return {}
    return {"backbone": BACKBONES[network]} | OWN_INPUT | {"image_size": OTHER_SIZE.get(network)}


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
    Neighbours("neighbours"),
    Vision("multilabel_asl", "asymmetric"),
    Vision("hsoftmax", "hsoftmax_nodes"),
    Clip("clip_zero_shot_prompt", "one_tag_prompt", trained=False),
    Clip("clip_path_prompt", "path_prompt"),
    Clip("clip_wise_ft", "one_tag_prompt", trained=False, wise="clip_1_tag_prompt"),
)
# Networks of today, at their own size: run by name (benchmark.rows, --baseline). docs/models.md says what each needs.
SIGLIP2, PE_CORE = "ViT-B-16-SigLIP2:webli", "PE-Core-B-16:meta"
MODERN_ROWS: tuple[Baseline, ...] = (
    Vision("probe_dinov2", "multilabel", frozen=True, network="dinov2_base"),
    Vision("probe_dinov3", "multilabel", frozen=True, network="dinov3"),
    Vision("probe_siglip2", "multilabel", frozen=True, network="siglip2"),
    Vision("probe_pe_core", "multilabel", frozen=True, network="pe_core"),
    Vision("probe_efficientnet_lite0", "multilabel", frozen=True, network="efficientnet_lite0"),
    Neighbours("neighbours_dinov2", network="dinov2_base"),
    Neighbours("neighbours_dinov3", network="dinov3"),
    Neighbours("neighbours_siglip2", network="siglip2"),
    Neighbours("neighbours_pe_core", network="pe_core"),
    Neighbours("neighbours_efficientnet_lite0", network="efficientnet_lite0"),
    Clip("siglip2_zero_shot", "one_tag_prompt", trained=False, network=SIGLIP2),
    Clip("siglip2_1_tag_prompt", "one_tag_prompt", network=SIGLIP2),
    Clip("pe_core_zero_shot", "one_tag_prompt", trained=False, network=PE_CORE),
    Clip("pe_core_1_tag_prompt", "one_tag_prompt", network=PE_CORE),
    Clip("clip_lora", "one_tag_prompt", network="ViT-B-16:openai", lora=16),
    Title("title_neighbours"),
    Ensemble("ensemble_ml_title", ("multilabel", "title_neighbours")),
)
# One network in place of the ensembles, and without each of two parts (docs/experiments/one-model.md): run by name.
ONE_ROWS: tuple[Baseline, ...] = (
    One("one"),
    One("one_without_memory", memory=False),
    One("one_without_texts", texts=False),
)
ALL_ROWS = PAPER_ROWS + FURTHER_ROWS + MODERN_ROWS + ONE_ROWS
BASELINES: dict[str, Baseline] = {row.key: row for row in ALL_ROWS}
# Rows that stand in every table and are no models: ml/evaluation/reference.py scores them.
PRIOR, PROVIDER, ORACLE = "label_prior", "provider_alone", "oracle"
REFERENCES = (PRIOR, PROVIDER, ORACLE)


def place_in_paper(key: str) -> tuple[int, str]:
    """A sort key: rows in the order of the paper's tables, unknown ones after them by name."""
    return (list(BASELINES).index(key) if key in BASELINES else len(BASELINES), key)


def baseline(key: str) -> Baseline:
    """The row of that key. Raises BaselineError."""
    if key not in BASELINES:
        raise BaselineError(f"There is no baseline `{key}`; there are {', '.join(BASELINES)}.")
    return BASELINES[key]


def recipe(key: str, profile: Profile, weights: Path | None = None, base: str | None = None) -> Recipe:
    """The recipe of a row, with pretrained weights from a folder or without. Raises BaselineError.

    `base` names a recipe of recipes.toml in place of the profile's.
    """
    row = baseline(key)
    if profile not in get_args(Profile):
        raise BaselineError(f"There is no profile `{profile}`; it must be demo or full.")
    base = base or ("demo_weights" if profile == "demo" and weights is not None else profile)
    if base not in RECIPES:
        raise BaselineError(f"There is no base recipe `{base}`; there are {', '.join(RECIPES)}.")
    return replace(RECIPES[base], **row.recipe_changes(base))


def _changes(described: Mapping[str, Any]) -> dict[str, Any]:
    """A section of recipes.toml as values of Recipe."""
    read: dict[str, Callable[[Any], Any]] = {
        "backbone": BACKBONES.__getitem__,
        "text_tower": lambda size: TextTower(**size),
        "betas": tuple,
    }
    changes = {name: read[name](value) if name in read else value for name, value in described.items()}
    return {name: None if value == "none" else value for name, value in changes.items() if name != "base"}


DESCRIBED = tomllib.loads(Path(__file__).with_name("recipes.toml").read_text(encoding="utf-8"))
CLIP_RECIPES = {base: _changes(described) for base, described in DESCRIBED.pop("clip").items()}
RECIPES: dict[str, Recipe] = {}
for _name, _described in DESCRIBED.items():
    RECIPES[_name] = replace(RECIPES.get(_described.get("base"), Recipe()), **_changes(_described))
