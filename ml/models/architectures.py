"""The image networks of the benchmark as data; nothing here imports torch, so that Dagster's graph loads at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Backbone:
    """An image network by its timm name; what its pictures look like and its licence are on its card."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None  # a name in ml.models.weights, or a file; None: those that timm's name stands for


CONVNEXT_BASE = Backbone("convnext_base.fb_in1k")
BACKBONES = {  # as ml/recipes.toml names them
    "convnext_base": CONVNEXT_BASE,
    "mobilenetv2": Backbone("mobilenetv2_100", {"pad_type": "same"}, weights="mobilenetv2"),
    "efficientnet_lite0": Backbone("tf_efficientnet_lite0", weights="efficientnet_lite0"),
    "dinov2": Backbone("vit_small_patch14_dinov2.lvd142m", weights="dinov2"),
    "dinov2_base": Backbone("vit_base_patch14_dinov2.lvd142m"),
    "dinov3": Backbone("vit_base_patch16_dinov3.lvd1689m"),
    "siglip2": Backbone("vit_base_patch16_siglip_224.v2_webli"),
    "pe_core": Backbone("vit_pe_core_base_patch16_224.fb"),
    "gabor": Backbone("gabor"),  # ml/models/gabor.py: fixed filters and a small trained part
}
