"""The bounds behind every verdict on a row: what a test must have, and how it is measured."""

from pydantic import Field

from pipeline.section import Section


class VerdictSettings(Section):
    """What a test must have to carry a verdict (ml/evaluation/tells.py, docs/evaluating.md)."""

    equal_within: float = 0.02  # ours: two rows are equal when their difference surely is below this
    least_support: float = Field(default=0.7, ge=0, le=1)  # ours: share of the right tags that occur in training
    least_headroom: float = Field(default=0.1, ge=0, le=1)  # ours: what pictures add to the best constant ranking
    least_providers: int = Field(default=6, ge=2)  # ours: with fewer, intervals over providers do not hold
    least_images: int = Field(default=100, ge=1)  # ours: of the outer test
    least_groups: int = Field(default=12, ge=2)  # ours: with fewer, intervals over groups do not hold
    probe_folds: int = Field(default=5, ge=2)  # ours: of the probe that is trained inside a test
    probe_repeats: int = Field(default=4, ge=1)  # ours: divisions into folds that the probe's figure is the mean of
    # ours: a test of more images is divided once, as each division of a large one takes minutes
    probe_repeated_up_to: int = Field(default=1_000, ge=1)
    probe_images: int = Field(default=20_000, ge=1)  # ours: training images of the probe, by a hash of their id
    exchanges: int = Field(default=4, ge=1)  # ours: how often each row is scored with the pictures exchanged
