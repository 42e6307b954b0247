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

    `all_tags` ranks by the bare tag; `path_prompt` says the whole path, the most general first.
    """
    if prompt == "one_tag_prompt":
        return FACET_OF[tags.facet].prompt.format(tag=tags.labels[tag])
    if prompt == "path_prompt":
        path = ", ".join(tags.labels[above] for above in tags.paths[tag])
        return FACET_OF[tags.facet].prompt.format(tag=path)
    return tags.labels[tag]


def image_text(tags: FacetTags, closed: Sequence[int], prompt: Prompt, rng: random.Random) -> str:
    """The text of an image for a facet: one random closed tag, or all of them joined by commas."""
    if prompt == "all_tags":
        return ", ".join(tags.labels[tag] for tag in closed)
    return tag_text(tags, closed[rng.randrange(len(closed))], prompt)
