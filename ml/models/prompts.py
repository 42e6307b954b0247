"""What CLIP reads: the tags of one facet of an image as English text (protocol, section 5)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ml.dataset.tag_list import FacetTags
from pipeline.facets import FACET_OF

Prompt = Literal["one_tag", "all_tags", "one_tag_prompt", "path_prompt"]


@dataclass(frozen=True)
class TextTower:
    """The size of a text tower that is trained from scratch beside another image tower; the vocabulary is CLIP's."""

    context: int = 77
    width: int = 512
    heads: int = 8
    layers: int = 12
    embed: int = 512


CLIP_TEXT_TOWER = TextTower()


def tag_text(tags: FacetTags, tag: int, prompt: Prompt) -> str:
    """The text that stands for one tag: in training with one tag, and when tags are ranked.

    `path_prompt` says the whole path, the most general first. `all_tags` trains on joined tags and ranks by the bare
    tag: tags are ranked one by one, and a joined text would need to know which others the image has. The bare tag is a
    text of training too, wherever an image has one tag of the facet.
    """
    if prompt == "one_tag_prompt":
        return FACET_OF[tags.facet].prompt.format(tag=tags.labels[tag])
    if prompt == "path_prompt":
        path = ", ".join(tags.labels[above] for above in tags.paths[tag])
        return FACET_OF[tags.facet].prompt.format(tag=path)
    return tags.labels[tag]


def image_text(tags: FacetTags, closed: Sequence[int], prompt: Prompt, rng: random.Random) -> str:
    """The text of an image for a facet: one random closed tag, or all of them joined by commas in a random order.

    The order is drawn anew for every use of the image (ours; the paper does not say): in one order, the position of a
    tag in the text would say which tag it is.
    """
    if prompt == "all_tags":
        return ", ".join(tags.labels[tag] for tag in rng.sample(closed, len(closed)))
    return tag_text(tags, closed[rng.randrange(len(closed))], prompt)
