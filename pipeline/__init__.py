"""What the dataset is: plain Python on tables and bytes, without torch and without dagster."""

from pipeline.facets import FACETS

__all__ = ["DATASET_SPLITS", "EVALUATED_SPLITS", "FACETS", "SPLITS", "TEST_SPLITS"]

# What an image may be used for, in order: where earlier splits of a group differ, the last one counts.
DATASET_SPLITS = ("train", "validation", "inner_test", "outer_test")
EVALUATED_SPLITS = DATASET_SPLITS[1:]
TEST_SPLITS = DATASET_SPLITS[2:]
# `left_out` are images whose group touches two splits (protocol, section 4); the dataset has no folder for them.
SPLITS = (*DATASET_SPLITS, "left_out")
