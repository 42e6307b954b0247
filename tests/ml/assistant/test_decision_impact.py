"""What a model says of decided tags, when they were shown and now."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from ml.assistant.decision_impact import rank_again, summary
from ml.assistant.suggest import ModelInfo, Suggester

ORDER = {"materials": ["1", "2", "3"], "subjects": ["7"]}
DECIDED = pl.DataFrame(
    {
        "image_id": ["a", "a", "a", "b"],
        "tag_id": ["2", "1", "9", "3"],
        "accepted": [True, False, True, False],
        "score": [0.5, 0.75, None, 0.25],
        "rank": [2, 1, None, 3],
    }
)


class Fixed:
    """Scores that depend on nothing."""

    memory = None

    def scores(self, picture: Image.Image, group: int) -> dict[str, np.ndarray]:
        """One per tag."""
        return {"materials": np.array([0.25, 0.9, 0.25]), "subjects": np.array([0.1])}


def jpeg(image_id: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (30, 20), "navy").save(out, "JPEG")
    return out.getvalue()


def test_a_tag_is_ranked_among_its_facets_tags_ties_by_the_order_of_the_list():
    ranked = rank_again(DECIDED, Suggester(ModelInfo("fixed"), Fixed(), ORDER), jpeg)
    assert ranked["score_now"].to_list() == [0.9, 0.25, None, 0.25]
    assert ranked["rank_now"].to_list() == [1, 2, None, 3]


def test_accepted_and_rejected_tags_are_summed_up_apart():
    accepted, rejected = summary(rank_again(DECIDED, Suggester(ModelInfo("fixed"), Fixed(), ORDER), jpeg)).iter_rows(
        named=True
    )
    assert (accepted["decided"], accepted["n"], accepted["score_shown"], accepted["score_now"]) == (
        "accepted",
        2,
        0.5,
        0.9,
    )
    assert (accepted["top_10_shown"], accepted["top_10_now"]) == (0.5, 0.5)  # one tag no model knows
    assert (rejected["rank_shown"], rejected["rank_now"]) == (2.0, 2.5)
    assert rejected["score_now"] == pytest.approx(0.25)
