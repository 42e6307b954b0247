"""How a row is trained: a frozen record whose values the command line may override."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

from ml.dataset.transforms import View
from ml.models.architectures import BACKBONES, CONVNEXT_BASE, Backbone
from ml.models.card import NetworkCard
from ml.models.prompts import CLIP_TEXT_TOWER, TextTower


class BaselineError(ValueError):
    """An unknown baseline, profile or override; the message lists what there is."""


@dataclass(frozen=True)
class Recipe:
    """How a row is trained. The defaults are the paper's vision rows; sizes are global, over all GPUs."""

    backbone: Backbone = CONVNEXT_BASE  # paper: ConvNeXt-B with ImageNet weights
    open_clip: str | None = None  # `model:weights` of open_clip in place of backbone and text tower
    text_tower: TextTower = CLIP_TEXT_TOWER  # paper: CLIP's own size
    text_encoder: str | None = None  # a pretrained encoder in place of text_tower, of which context and embed hold
    text_locked: bool = True  # ours: only the linear layer behind the text encoder is trained
    pretrained: bool = True  # paper
    freeze: int = 0  # blocks that are not trained; -1: the whole network
    image_size: int | None = None  # None: the network's own; 224 for the paper's
    crop_scale_min: float = 0.08  # ours: torchvision's RandomResizedCrop, which the paper names without numbers
    eval_part: float | None = None  # the central part of an image that is shown in evaluation; None: the network's own
    cache_px: int | None = None  # ours: decode every image once, at this short side, and keep it in memory
    frozen_views: int = 0  # ours: draws of an image that pass the frozen part once and are kept; 0 keeps none
    repeats: int = 3  # paper: RASampler; 3 is ours
    epochs: int = 25  # paper
    batch: int = 128  # paper
    accumulate: int = 1  # ours: micro-batches of a step, on each GPU
    lr: float = 1e-4  # paper
    head_lr: float | None = None  # ours: the heads' rate where it differs
    weight_decay: float = 0.05  # paper
    betas: tuple[float, float] = (0.9, 0.999)  # ours: torch's default
    eps: float = 1e-8  # ours: torch's default
    warmup_steps: int = 0  # ours: the paper names none for vision
    clip_norm: float | None = None  # ours: the paper names none for vision
    drop: float = 0.0  # ours: dropout before the heads
    rejected_weight: float = 1.0  # ours: of tags that cataloguers rejected, beside an annotated tag's 1
    prior_bias: bool = False  # ours: start the heads at the training frequencies
    ema_decay: float | None = None  # ours: off in the paper's rows
    patience: int | None = None  # ours: epochs without improvement until an early stop; None: none
    instances: Literal["per_facet", "per_tag", "per_image"] = "per_facet"  # ours
    positives: Literal["pairs", "same_text"] = "pairs"  # paper: CLIP's loss
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # ours: bf16 autocast on a GPU, fp32 on a CPU
    channels_last: bool = True  # ours
    compile: Literal["auto", "on", "off"] = "auto"  # ours: torch.compile on a GPU, where a C compiler is at hand
    tensorboard: bool = True  # ours: when the package is there
    workers: int = 8  # ours
    eval_batch: int = 256  # ours
    threads: int | None = None  # ours: of a training on a CPU; None: torch's own choice, all cores
    checkpoint_s: float = 600.0  # ours: seconds between checkpoints, besides one per epoch
    network: NetworkCard | None = None  # of a finished model, as model.json has it; None: the publisher's today

    @property
    def decoded_px(self) -> int | None:
        """The short side at which images are decoded beforehand; None where only their activations are needed."""
        return None if self.frozen_views else self.cache_px

    @cached_property
    def card(self) -> NetworkCard:
        """The network that is trained. Raises WeightsError where no publisher knows it."""
        if self.network is not None:
            return self.network
        from ml.models.cards import backbone_card, open_clip_card  # timm takes a second

        if self.open_clip is not None:
            return open_clip_card(self.open_clip, self.pretrained)
        return backbone_card(self.backbone, self.pretrained)

    @property
    def size(self) -> int:
        """The side of the network's input in pixels."""
        return self.image_size or self.card.input.size

    @property
    def evaluation_view(self) -> View:
        """How evaluation, the assistant and exports show an image."""
        return self.card.input.evaluation(self.size, self.eval_part)

    @property
    def training_view(self) -> View:
        """How images are augmented in training."""
        return self.card.input.training((self.crop_scale_min, 1.0), self.size)

    def override(self, assignments: Mapping[str, str]) -> "Recipe":
        """The recipe with some values given as text, as on the command line. Raises BaselineError."""
        changes: dict[str, Any] = {}
        simple = {f.name: f for f in fields(self) if f.name not in ("backbone", "text_tower", "betas", "network")}
        if "backbone" in assignments:
            name = assignments["backbone"]
            changes["backbone"] = BACKBONES.get(name, Backbone(name))
        for name, text in assignments.items():
            if name == "weights_file":
                changes["backbone"] = replace(changes.get("backbone", self.backbone), weights=text)
            if name in ("backbone", "weights_file"):
                continue
            if name not in simple:
                known = ", ".join(["backbone", "weights_file", *simple])
                raise BaselineError(f"There is no recipe value `{name}`; there are {known}.")
            changes[name] = _parsed(name, text, _type_name(simple[name].type), getattr(self, name))
        return replace(self, **changes)

    def as_json(self) -> dict[str, Any]:
        """The recipe for model.json and for telling two runs apart."""
        return {name: value for name, value in asdict(self).items() if name != "network"}


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _parsed(name: str, text: str, kind: str, now: Any) -> Any:
    if text.lower() == "none" and "None" in kind:
        return None
    try:
        if kind.startswith("bool"):
            return {"true": True, "false": False}[text.lower()]
        if kind.startswith("int"):
            return int(text)
        if kind.startswith("float"):
            return float(text)
    except (KeyError, ValueError) as error:
        raise BaselineError(f"The recipe value `{name}` cannot be `{text}`; it is {now} now.") from error
    if "Literal" in kind and f"'{text}'" not in kind:
        raise BaselineError(
            f"The recipe value `{name}` cannot be `{text}`; it is one of {kind.partition('[')[2][:-1]}."
        )
    return text
