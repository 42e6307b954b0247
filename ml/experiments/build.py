"""The network of a row with its starting weights, and where these come from."""

from pathlib import Path

import torch

from ml.baselines import Clip as ClipRow
from ml.baselines import Vision
from ml.dataset.tag_list import TagList
from ml.experiments.fit import Splits
from ml.models.backbones import ImageTower, build
from ml.models.clip import Clip, from_towers, published
from ml.models.network import Network
from ml.models.vision import VisionModel
from ml.training.recipe import Recipe


def clip_of(row: ClipRow, recipe: Recipe, tag_list: TagList, weights: Path | None) -> tuple[Clip, str]:
    """The two towers with their starting weights, and where these come from."""
    if recipe.open_clip is not None:
        weights_name = recipe.backbone.weights or "openai"
        model, source = published(recipe.open_clip, weights_name if recipe.pretrained else None)
    else:
        trunk, source = build(recipe.backbone, weights, recipe.pretrained, recipe.image_size)
        model = from_towers(ImageTower(trunk, recipe.freeze), recipe.text_tower, tag_list)
        source = source if source == "random" else f"image tower {source}; text tower random"
    model.positives, model.prompt, model.tag_list = recipe.positives, row.prompt, tag_list
    return model, source


def network_of(
    row: Vision | ClipRow,
    recipe: Recipe,
    tag_list: TagList,
    weights: Path | None,
    seed: int,
    splits: Splits | None = None,
) -> tuple[Network, str]:
    """The row's network with its starting weights, and a sentence on where they come from."""
    torch.manual_seed(seed)
    model: Network
    if isinstance(row, ClipRow):
        model, source = clip_of(row, recipe, tag_list, weights)
    else:
        trunk, source = build(recipe.backbone, weights, recipe.pretrained, recipe.image_size)
        vision = VisionModel(
            ImageTower(trunk, recipe.freeze),
            tag_list,
            row.head,
            class_weights=row.class_weights,
            drop=recipe.drop,
            rejected_weight=recipe.rejected_weight,
        )
        if recipe.prior_bias and splits is not None:
            training = splits.get("train")
            vision.start_at_prior({facet: training.n_annotated(facet) for facet in tag_list.facets})
        model = vision
    return model, f"random (seed {seed})" if source == "random" else source
