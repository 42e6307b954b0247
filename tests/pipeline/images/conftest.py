"""A provider on loopback, and fetching from it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from pipeline.images.fetch import FetchSummary, fetch_images
from pipeline.images.wanted import WANTED
from pipeline.settings import HttpSettings, ImageSettings
from tests.pipeline.images.provider import Provider, serving


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that answers on loopback."""
    with serving(Provider()) as running:
        yield running


@pytest.fixture
def fetch(provider: Provider, tmp_path: Path) -> Callable[..., FetchSummary]:
    """Fetch rows of (record_id, url, fallback_url) into tmp_path, every host mapped to the provider."""

    def run(rows: list[tuple[str, str, str | None]], *, hosts=None, **given) -> FetchSummary:
        wanted = pl.DataFrame([(row[0], 0, *row[1:]) for row in rows], schema=WANTED, orient="row")
        calls = {
            name: given.pop(name)
            for name in ("refresh", "retry_now", "resolver", "shards", "patience")
            if name in given
        }
        folder = given.pop("folder", tmp_path)
        images = ImageSettings(**{"allowed_addresses": ("127.0.0.0/8",), "max_pixels": 10_000_000, **given})
        http = HttpSettings(
            hosts={"*": provider.address} if hosts is None else hosts, backoff_first_s=0.01, backoff_cap_s=0.3
        )
        return fetch_images(wanted, folder, images, http, **calls)

    return run
