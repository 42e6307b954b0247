"""The museum of 300 images, and what one machine makes of it."""

from pathlib import Path

import pytest

from tests.operations.services import dagster_home, environment, eufcc, final_hashes, storage_below

IMAGES = 300


@pytest.fixture(scope="session")
def museum(drawn_museum) -> Path:
    """A drawn museum of 300 images."""
    return drawn_museum(IMAGES)


@pytest.fixture(scope="session")
def local_home(museum: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the small demo, run by one process on the local disk."""
    home = dagster_home(tmp_path_factory.mktemp("local"))
    done = eufcc(["demo"], environment(home, museum))
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="session")
def local_hashes(local_home: Path) -> dict[str, str]:
    """What every other way of running must end with."""
    return final_hashes(storage_below(local_home))
