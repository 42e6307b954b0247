"""Images with a text of one facet: the training pairs of CLIP rows."""

from collections.abc import Sequence

import numpy as np

from ml.dataset.batches import Draw, Images
from ml.dataset.split import ImageSplit
from ml.dataset.tag_list import TagList
from ml.dataset.transforms import View
from ml.models.card import TextInput
from ml.models.network import Batch
from ml.models.prompts import Prompt, image_text, tag_text
from ml.models.tokens import tokenize
from ml.training.recipe import Recipe


class ImageTexts(Images):
    """Images with a text of one facet: the batches of Images, with `tokens` (int64, (n, context)) in addition.

    `recipe.instances` says what an epoch counts: `per_facet` one sample per image and annotated facet, `per_tag` one
    per image and closed tag, `per_image` one per image with a random annotated facet.
    """

    def __init__(
        self,
        split: ImageSplit,
        tag_list: TagList,
        view: View,
        seed: int,
        recipe: Recipe,
        prompt: Prompt,
        text_input: TextInput,
    ) -> None:
        super().__init__(split, tag_list, view, seed)
        self.prompt, self.text_input = prompt, text_input
        self.samples = self._samples(recipe.instances)  # image, facet (-1: drawn), tag (-1: drawn)

    def __len__(self) -> int:
        return len(self.samples)

    def _samples(self, instances: str) -> np.ndarray:
        samples = []
        for image in range(len(self.split)):
            own = [self.split.closed_tags(facet, image) for facet in self.tag_list.facets]
            if instances == "per_image":
                samples += [(image, -1, -1)] if any(len(tags) for tags in own) else []
            elif instances == "per_tag":
                samples += [(image, number, int(tag)) for number, tags in enumerate(own) for tag in tags]
            else:
                samples += [(image, number, -1) for number, tags in enumerate(own) if len(tags)]
        return np.array(samples, dtype=np.int64).reshape(-1, 3)

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        """A whole batch: the images' targets, and the tokens of each image's text."""
        chosen = self.samples[[draw.image for draw in draws]].tolist()
        images = [Draw(image, draw.key) for (image, _, _), draw in zip(chosen, draws, strict=True)]
        texts = [self._text(draw, facet, tag) for draw, (_, facet, tag) in zip(images, chosen, strict=True)]
        return super().__getitems__(images) | {"tokens": tokenize(texts, self.text_input)}

    def _text(self, draw: Draw, facet: int, tag: int) -> str:
        rng = self.rng(Draw(draw.image, draw.key ^ (1 << 62)))
        names = list(self.tag_list.facets)
        if facet < 0:
            annotated = [n for n, name in enumerate(names) if len(self.split.closed_tags(name, draw.image))]
            facet = annotated[rng.randrange(len(annotated))]
        tags = self.tag_list.facets[names[facet]]
        if tag >= 0:
            return tag_text(tags, tag, self.prompt)
        return image_text(tags, self.split.closed_tags(names[facet], draw.image).tolist(), self.prompt, rng)
