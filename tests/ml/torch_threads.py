"""A fixture for the tests that use torch."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are fastest on one thread, and so are tests that run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
