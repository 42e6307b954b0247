"""What the tests of the training path share: a small museum of coloured shapes, one thread, and the command."""

from pathlib import Path

import pytest
import torch

from ml.dataset.tag_list import FacetTags
from tests.ml.museum import write_museum


@pytest.fixture(scope="session")
def museum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder: 96 training images, four facets, two to six tags each."""
    return write_museum(tmp_path_factory.mktemp("museum") / "dataset")


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are fastest on one thread, and so are tests that run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
