"""A small desk: a tag list of real AAT ids, a store in a temporary folder, drawn pictures, a model edge by colour."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.assistant.store import Act, NewImage, Store
from ml.assistant.vocabulary import Vocabulary, read_tag_list

TAG_LIST = Path(__file__).with_name("tag_list.json")


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """The tags of the small list."""
    return Vocabulary(read_tag_list(TAG_LIST)[1])


@pytest.fixture
def store(tmp_path: Path):
    """An empty store whose clock moves by a second at each look."""
    seconds = itertools.count()
    made = Store(
        f"sqlite:///{tmp_path / 'assistant.sqlite'}",
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds)),
    )
    yield made
    made.close()


@pytest.fixture
def image_id(store: Store) -> str:
    """An image in the queue."""
    return store.add_image(NewImage("a" * 64, 640, 480, title="vase.jpg")).image_id


@pytest.fixture
def act():
    """Makes acts with their own keys: act(version), act(version, who=…)."""
    keys = itertools.count()

    def make(version: int, **values: object) -> Act:
        return Act(**{"who": "anna", "version": version, "key": f"key-{next(keys)}", **values})

    return make
