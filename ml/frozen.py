"""Activations of a frozen network, made once per view of an image instead of once per epoch."""

import torch
from torch import nn

from ml.backbones import ImageTower
from ml.baselines import Recipe
from ml.data import Draw, Images, loader, on_device
from ml.optimization import autocast
from ml.place import Place


@torch.inference_mode()
def keep_activations(model: nn.Module, images: Images, recipe: Recipe, place: Place, *, views: int) -> None:
    """Let the images be drawn from `views` augmented views each, that already passed the model's frozen part.

    Kept in memory as float16: images x views x the activation's size.
    """
    tower = next(module for module in model.modules() if isinstance(module, ImageTower))
    tower.eval()
    shown = Images(images.split, images.tag_list, images.view, images.seed)
    draws = [Draw(image, (1 << 63) | view) for image in range(len(shown)) for view in range(views)]
    parts = []
    for batch in loader(shown, draws, batch=recipe.eval_batch, workers=recipe.workers, pin=place.cuda):
        with autocast(recipe, place):
            parts.append(tower.frozen_part(on_device(batch, place.device, recipe)["image"]).half().cpu())
    kept = torch.cat(parts)
    images.activations = kept.reshape(len(shown), views, *kept.shape[1:])
