"""What CLIP reads: the order of joined tags is drawn anew, and tags are ranked by their own text."""

import random

from ml.dataset.tag_list import FacetTags
from ml.models.prompts import image_text, tag_text


def test_all_tags_are_joined_in_an_order_drawn_anew(tree: FacetTags):
    """Every order comes up, each from its own seed; ranking reads the bare tag."""
    texts = [image_text(tree, [0, 1, 3], "all_tags", random.Random(seed)) for seed in range(60)]
    assert {tuple(sorted(text.split(", "))) for text in texts} == {("bronze", "copper alloy", "metal")}
    assert len(set(texts)) == 6
    assert texts == [image_text(tree, [0, 1, 3], "all_tags", random.Random(seed)) for seed in range(60)]
    assert tag_text(tree, 0, "all_tags") == "bronze"
