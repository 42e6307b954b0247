"""The desk that learns from what people confirm."""

from pathlib import Path

import pytest

from ml.assistant.service import AssistantService
from tests.ml.assistant.remembering.desk import remembering_desk, write_storage


@pytest.fixture(scope="module")
def storage(once) -> Path:
    """A storage folder with the row `one`; nothing is written into it."""
    return once("remembering_desk", write_storage)


@pytest.fixture
def service(storage, tmp_path, vocabulary, store) -> AssistantService:
    """A desk that shows `one`."""
    return remembering_desk(storage, tmp_path / "desk", vocabulary, store)
