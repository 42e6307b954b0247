"""A small rendered museum, served once for all tests of this room."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.sandbox.folder import MuseumFolder
from tests.support.museum_server import running

IMAGES = 120


@pytest.fixture(scope="session")
def museum_folder(drawn_museum) -> Path:
    """A museum of 120 images."""
    return drawn_museum(IMAGES, seed=7)


@pytest.fixture(scope="session")
def museum(museum_folder: Path) -> MuseumFolder:
    """The same, loaded."""
    return MuseumFolder(museum_folder)


@pytest.fixture(scope="session")
def address(museum: MuseumFolder) -> Iterator[str]:
    """Its server's address."""
    with running(museum) as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """A plain HTTP client to it, which follows no redirect."""
    with httpx.Client(base_url=address, timeout=10) as http:
        yield http
