"""What the dataset is: plain Python on tables and bytes, without torch and without dagster."""

from pipeline.facets import FACETS

__all__ = ["FACETS", "SPLITS"]

# What a record's image may be used for; `left_out` are images whose group touches two splits (protocol, section 4).
SPLITS = ("train", "validation", "inner_test", "outer_test", "left_out")
