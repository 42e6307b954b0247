"""The local museum served from a thread, as it is, slow, or failing as real servers do."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.sandbox.answers import Quota
from pipeline.sandbox.folder import MuseumFolder
from pipeline.sandbox.hosts import media_url
from pipeline.sandbox.museum import Museum
from pipeline.sandbox.search import ITEMS_KEPT
from pipeline.sandbox.server import create_app, listening, server
from tests.support.faults import Faults

START_S = 20.0
STOP_S = 5.0


@contextlib.contextmanager
def running(
    museum: Museum | Path,
    *,
    port: int = 0,
    api_key: str | None = None,
    quota: Quota | None = None,
    faults: Faults | None = None,
    latency_s: float = 0.0,
    image_latency_s: float = 0.0,
    preserialised: bool = False,
) -> Iterator[str]:
    """A museum, or the folder of one, served from a thread while the context lasts; gives the base URL.

    `faults`: what goes wrong, and how often. `latency_s`: how long every API answer takes at least;
    `image_latency_s`: every image. `preserialised`: all items are written before the first answer, so that a benchmark
    measures its client and not this server.
    Raises MuseumError for a bad folder and PortInUse when `port` (0: any free one) is taken.
    """
    loaded = MuseumFolder(museum) if isinstance(museum, Path) else museum
    app = create_app(loaded, api_key=api_key, quota=quota, items_kept=None if preserialised else ITEMS_KEPT)
    if preserialised:
        asyncio.run(_ask_for_all(app, api_key))
    with listening(port) as (listener, address):
        running_server = server(_troubled(app, faults, latency_s, image_latency_s))
        thread = threading.Thread(target=running_server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + START_S
            while not running_server.started:
                if not thread.is_alive() or time.monotonic() > until:
                    raise RuntimeError("The local museum's server did not start.")
                time.sleep(0.01)
            yield address
        finally:
            running_server.should_exit = True
            thread.join(STOP_S)
            running_server.force_exit = True
            thread.join(STOP_S)


def _troubled(app: ASGIApp, faults: Faults | None, latency_s: float, image_latency_s: float) -> ASGIApp:
    """The application behind a latency and a schedule of faults."""
    delayed = Latency(app, latency_s, image_latency_s) if max(latency_s, image_latency_s) > 0 else app
    return delayed if faults is None else faults.around(delayed)


async def _ask_for_all(app: ASGIApp, api_key: str | None) -> None:
    params = {"query": "*", "rows": "100", "profile": "rich", "sort": "europeana_id asc", "wskey": api_key or "any"}
    cursor = "*"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        while cursor:
            page = await client.get("/record/v2/search.json", params={**params, "cursor": cursor})
            cursor = page.json().get("nextCursor")


class Latency:
    """Makes every answer wait, as those over the ocean do: those of the APIs for so long, images for so long."""

    def __init__(self, app: ASGIApp, latency_s: float, image_latency_s: float) -> None:
        self.app, self.latency_s, self.image_latency_s = app, latency_s, image_latency_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            image = media_url(scope) is not None or scope["path"].startswith("/thumbnail/")
            await asyncio.sleep(self.image_latency_s if image else self.latency_s)
        await self.app(scope, receive, send)
