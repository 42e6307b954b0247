"""Checks whether sources still serve the stored images: a sample is requested again and compared by hash."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.images.download import Downloader, Refusal, Trouble
from pipeline.images.fetch import run_async
from pipeline.images.guard import guarded_client
from pipeline.settings import HttpSettings, ImageSettings

SAMPLE = 24  # images requested again
AT_ONCE = 4
PATIENCE_S = 60.0
WRONG_SHARE = 0.25  # providers replace single pictures; beyond this share the store belongs to other sources


@dataclass(frozen=True)
class SourceCheck:
    """How many sources of the sample answered with a picture, and which no longer serve the stored one."""

    asked: int
    answered: int
    changed: list[str]  # their URLs

    @property
    def problem(self) -> str | None:
        """A sentence if more sources have changed than providers' everyday corrections explain."""
        if len(self.changed) <= WRONG_SHARE * self.answered:
            return None
        return (
            f"{len(self.changed)} of {self.answered} images asked again are not what is stored, for example "
            f"{self.changed[0]}: fetch again with `refresh`, or start a new storage for these sources."
        )


def check_sources(
    images: pl.DataFrame, settings: ImageSettings, http: HttpSettings, sample: int = SAMPLE
) -> SourceCheck:
    """Requests the sources of some images again. `images` has image_id (the sha256 of the source) and source_url.

    The sample is spread evenly over the sorted hashes. Sources that do not answer are not counted.
    """
    distinct = (
        images.select("image_id", "source_url")
        .drop_nulls()
        .sort("image_id", "source_url")
        .unique("image_id", keep="first")
    )
    distinct = distinct.sort("image_id").gather_every(max(1, len(distinct) // sample)).head(sample)
    hashes = run_async(_hashes(distinct["source_url"].to_list(), settings, http))
    pairs = distinct.select("image_id", "source_url").iter_rows()
    changed = [url for image_id, url in pairs if hashes.get(url) not in (None, image_id)]
    return SourceCheck(len(distinct), len(hashes), changed)


async def _hashes(urls: list[str], settings: ImageSettings, http: HttpSettings) -> dict[str, str]:
    """The sha256 of what the URLs serve, without those that serve nothing within PATIENCE_S."""
    client = guarded_client(connections=AT_ONCE, allowed=settings.allowed_addresses, hosts=http.hosts)
    hashes: dict[str, str] = {}
    turns = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory() as incoming:
        downloader = Downloader(client, settings, http, Path(incoming))

        async def ask(url: str) -> None:
            async with turns:
                try:
                    answer = await downloader.download(url)
                except (Refusal, Trouble):  # the ledger counts them
                    return
            if answer.sha256 is not None:
                hashes[url] = answer.sha256

        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*map(ask, urls))
        except TimeoutError:
            return hashes  # of those that have answered
        finally:
            await client.aclose()
    return hashes
