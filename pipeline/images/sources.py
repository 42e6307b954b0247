"""Whether stored images still are what their sources serve: a sample is asked for again and compared by hash."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.images.download import Downloader, Refusal, Trouble
from pipeline.images.fetch import run_async
from pipeline.images.guard import GuardedTransport
from pipeline.settings import HttpSettings, ImageSettings

SAMPLE = 24  # images asked for again
AT_ONCE = 4
PATIENCE_S = 60.0
WRONG_SHARE = 0.25  # a provider replaces a picture now and then; beyond this share the store belongs to other sources


@dataclass(frozen=True)
class SourceCheck:
    """How many sources of the sample answered with a picture, and which no longer serve what is stored."""

    asked: int
    answered: int
    changed: list[str]  # their URLs

    @property
    def problem(self) -> str | None:
        """A sentence when too many have changed for a provider's everyday corrections."""
        if len(self.changed) <= WRONG_SHARE * self.answered:
            return None
        return (
            f"{len(self.changed)} of {self.answered} images asked again are not what is stored, for example "
            f"{self.changed[0]}: fetch again with `refresh`, or start a new storage for these sources."
        )


def check_sources(
    images: pl.DataFrame, settings: ImageSettings, http: HttpSettings, sample: int = SAMPLE
) -> SourceCheck:
    """Ask the sources of some images again. `images` has image_id, the sha256 of the source's bytes, and source_url.

    The sample is spread evenly over the sorted hashes. A source that gives no answer now says nothing about the image.
    """
    distinct = (
        images.select("image_id", "source_url")
        .drop_nulls()
        .sort("image_id", "source_url")
        .unique("image_id", keep="first")
    )
    distinct = distinct.sort("image_id").gather_every(max(1, len(distinct) // sample)).head(sample)
    found = run_async(_hashes(distinct["source_url"].to_list(), settings, http))
    changed = [
        url
        for image_id, url in distinct.select("image_id", "source_url").iter_rows()
        if found.get(url) not in (None, image_id)
    ]
    return SourceCheck(len(distinct), len(found), changed)


async def _hashes(urls: list[str], settings: ImageSettings, http: HttpSettings) -> dict[str, str]:
    """The sha256 of what each URL serves, for those that serve something in the time there is."""
    transport = GuardedTransport(connections=AT_ONCE, allowed=settings.allowed_addresses, hosts=http.hosts)
    found: dict[str, str] = {}
    turns = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory() as incoming:
        downloader = Downloader(transport, settings, http, Path(incoming))

        async def ask(url: str) -> None:
            async with turns:
                try:
                    answer = await downloader.download(url)
                except (Refusal, Trouble):  # the ledger's business, and counted there
                    return
            if answer.sha256 is not None:
                found[url] = answer.sha256

        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*map(ask, urls))
        except TimeoutError:
            return found  # those that have answered are judged
        finally:
            await transport.aclose()
    return found
