"""The network of a row with its starting weights, and where these come from."""

from pathlib import Path

import torch

from ml.baselines import Clip, Vision
from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower, build
from ml.models.network import Network
from ml.models.vision import VisionModel
from ml.training.recipe import Recipe


def vision_network(
    row: Vision, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int
) -> tuple[VisionModel, str]:
    """One image network with a head per facet; the second value says where the weights come from."""
    torch.manual_seed(seed)
    trunk, source = build(recipe.backbone, weights, recipe.pretrained, recipe.image_size)
    model = VisionModel(
        ImageTower(trunk, recipe.freeze),
        tag_list,
        row.head,
        class_weights=row.class_weights,
        drop=recipe.drop,
        rejected_weight=recipe.rejected_weight,
    )
    return model, source


def clip_network(row: Clip, recipe: Recipe, tag_list: TagList, weights: Path | None, seed: int) -> tuple[Network, str]:
    """The image and text towers; the second value says where the weights come from."""
    from ml.models.clip import from_towers, published  # open_clip takes a second, and vision rows do without

    torch.manual_seed(seed)
    if recipe.open_clip is not None:
        name = recipe.backbone.weights or "openai"
        model, source = published(recipe.open_clip, name if recipe.pretrained else None)
    else:
        trunk, source = build(recipe.backbone, weights, recipe.pretrained, recipe.image_size)
        model = from_towers(ImageTower(trunk, recipe.freeze), recipe.text_tower, tag_list)
        source = source if source == "random" else f"image tower {source}; text tower random"
    model.positives, model.prompt, model.tag_list = recipe.positives, row.prompt, tag_list
    return model, source
