"""What the tests of the training path share: a small museum of coloured shapes, and a tree of tags."""

from pathlib import Path

import pytest

from ml.dataset.tag_list import FacetTags
from tests.ml.museum import write_museum


@pytest.fixture(scope="session")
def museum(once) -> Path:
    """A dataset folder: 96 training images, four facets, two to six tags each."""
    return once("coloured_shapes", write_museum)


@pytest.fixture
def tree() -> FacetTags:
    """metal > (copper alloy > (bronze, brass), gold); glass. Positions are not in tree order."""
    return FacetTags(
        facet="materials",
        tag_ids=("1", "2", "3", "4", "5", "6"),
        labels=("bronze", "metal", "glass", "copper alloy", "gold", "brass"),
        parents=(3, -1, -1, 1, 1, 3),
        n_train=(10, 50, 50, 20, 25, 5),
    )
