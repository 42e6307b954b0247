"""The CLIP rows: which towers a recipe asks for, and which texts a row trains with."""

from pathlib import Path

from ml.backbones import ImageTower, build
from ml.baselines import Clip as ClipRow
from ml.baselines import Recipe
from ml.clip import Clip, ImageTexts, from_towers, published
from ml.data import ImageSplit, View
from ml.tags import TagList


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


def samples_of(
    row: ClipRow, recipe: Recipe, training: ImageSplit, tag_list: TagList, view: View, seed: int
) -> ImageTexts:
    """The training pairs of the row."""
    context = 77 if recipe.open_clip is not None else recipe.text_tower.context
    return ImageTexts(
        training, tag_list, view, prompt=row.prompt, context=context, instances=recipe.instances, seed=seed
    )
