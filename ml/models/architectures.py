"""The image networks of the benchmark as data; nothing here imports torch, so that Dagster's graph loads at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Backbone:
    """An image network: its timm name, how its input is scaled, and where its weights are from."""

    name: str
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None  # a name in ml.weights, or a safetensors file; None: timm's hub knows the name
    licence: str = ""  # of the hub's weights


CONVNEXT_BASE = Backbone("convnext_base.fb_in1k", licence="Apache-2.0 (timm), trained on ImageNet-1k")
BACKBONES = {  # as ml/recipes.toml names them
    "convnext_base": CONVNEXT_BASE,
    "openai": replace(CONVNEXT_BASE, mean=OPENAI_MEAN, std=OPENAI_STD),  # scaled as for CLIP
    "mobilenetv2": Backbone("mobilenetv2_100", HALF, HALF, {"pad_type": "same"}, weights="mobilenetv2"),
    "efficientnet_lite0": Backbone("tf_efficientnet_lite0", HALF, HALF, weights="efficientnet_lite0"),
    "gabor": Backbone("gabor", HALF, HALF),  # ml/models/gabor.py: fixed filters and a small trained part
}
