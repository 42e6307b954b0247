"""The tiles of a picture, to see it closely: from its image service, or cut from the largest picture there is."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from ml.assistant.limits import AssistantLimits
from ml.assistant.pictures import Pictures
from ml.assistant.refusals import Busy
from ml.assistant.remote_images import NotFetched, RemoteImages
from ml.assistant.tile_service import NoTiles, TileService, base_in, tile_service
from pipeline.images.decoders import Content, Decoders
from pipeline.images.pyramid import Pyramid
from pipeline.images.verify import Picture, Rejected

Original = Callable[[sa.Row], str | None]  # where the picture of an image of the queue was published
log = logging.getLogger(__name__)
REMEMBERED = 1_000  # image services
SAME_SHAPE = 0.02  # by which width / height of two versions of a picture may differ, besides a pixel
NO_TILE = ("too_large", "broken_answer", "broken_encoding")  # answers after which a service is not asked for more
LONG = 4  # times `shown_short_side`: a picture with a longer side is cut, as no viewer draws it well in one piece


@dataclass(frozen=True)
class View:
    """What a viewer needs to know of a picture: its size, and which tiles there are."""

    source: str  # service: another server's tiles; kept: our own; picture: the one kept picture, without tiles
    width: int  # px, at full size
    height: int  # px
    tile_side: int | None = None
    factors: tuple[int, ...] = ()  # how often tiles are scaled down, powers of two
    host: str | None = None  # of the image service
    problem: NotFetched | None = None  # why there are no tiles


class Zoom:
    """Makes and finds the tiles of the pictures in the queue."""

    def __init__(
        self,
        pictures: Pictures,
        decoder: Callable[[], AbstractAsyncContextManager[Decoders]],
        limits: AssistantLimits,
    ):
        self._pictures, self._decoder, self._limits = pictures, decoder, limits
        self._places = asyncio.Semaphore(limits.tiles_at_once)
        # By image: its service, or why the service is not asked again.
        self._services: OrderedDict[str, TileService | NotFetched] = OrderedDict()

    async def cut(self, decoders: Decoders, image_id: str, data: bytes, picture: Picture) -> Pyramid | None:
        """These bytes in tiles; None if they cannot be larger than the picture that is kept of them.

        A picture that cannot be cut comes into the queue without tiles; the log says why.
        """
        shown, width, height = self._limits.shown_short_side, picture.width, picture.height
        if not self._limits.kept_pixels or (min(width, height) < shown and max(width, height) <= LONG * shown):
            return None
        try:
            pyramid = await self._cut(decoders, data)
            return pyramid if pyramid.width > width or max(width, height) > LONG * shown else None
        except Rejected as error:
            log.warning("The picture %s is kept without its full size: %s", image_id, error)
            return None

    async def view(self, row: sa.Row, original: Original, remote: RemoteImages | None) -> View:
        """What there is to see of an image of the queue. Other servers are asked only if nothing larger is kept.

        Raises Busy.
        """
        if described := await asyncio.to_thread(self._pictures.described_tiles, row.image_id):
            return _kept(described)
        problem = None
        address = await asyncio.to_thread(original, row) if remote is not None else None
        if remote is not None and address is not None:
            try:
                if (base := base_in(address)) is not None:
                    return _of_service(await self._service(row, base, remote))
                if self._may_be_larger(row):
                    return _kept(await self._fetched(row, address, remote))
            except (NotFetched, Rejected) as error:
                problem = error if isinstance(error, NotFetched) else NotFetched(error.reason, str(error))
        return View("picture", row.width, row.height, problem=problem)

    async def tile(
        self, row: sa.Row, place: tuple[int, int, int], original: Original, remote: RemoteImages | None
    ) -> bytes | None:
        """The JPEG of the tile at this place: factor, column and row. None if there is none.

        Raises NotFetched, also for what is no tile of that size; Busy.
        """
        kept = await asyncio.to_thread(self._pictures.tile, row.image_id, *place)
        if kept is not None or remote is None:
            return kept
        known = self._services.get(row.image_id)
        base = known.base if isinstance(known, TileService) else base_in(await asyncio.to_thread(original, row))
        if base is None:
            return None
        service = await self._service(row, base, remote)
        if not service.has(*place):
            return None
        address, width, height = service.tile(*place)
        try:
            async with self._place():
                data = await remote.fetch_tile(address)
            async with self._decoder() as decoders:
                return await decoders.tile(Content(data, None), width=width, height=height)
        except (Rejected, NotFetched) as error:
            reason = error.reason if isinstance(error, Rejected) else error.code
            if isinstance(error, NotFetched) and reason not in NO_TILE:
                raise
            message = f"{_host(base)} sent something else than the tile of {width} x {height} px: {reason}."
            raise self._given_up(row.image_id, "wrong_tile", message) from error

    async def _service(self, row: sa.Row, base: str, remote: RemoteImages) -> TileService:
        """The tiles of the image's service, which is not asked again once it has answered. Raises NotFetched, Busy."""
        known = self._services.get(row.image_id)
        if known is None:
            async with self._place():
                known = self._services.get(row.image_id) or await self._described(row, base, remote)
        if isinstance(known, NotFetched):
            raise NotFetched(known.code, str(known))
        return known

    async def _described(self, row: sa.Row, base: str, remote: RemoteImages) -> TileService:
        try:
            service = tile_service(await remote.info(base), base)
        except NoTiles as error:
            message = f"The image service at {_host(base)} cannot be used: {error}."
            raise self._given_up(row.image_id, "no_tiles", message) from error
        if not _same_shape(row, service.width, service.height):
            message = f"{_host(base)} describes a picture of another shape, {service.width} x {service.height} px."
            raise self._given_up(row.image_id, "another_picture", message)
        self._remember(row.image_id, service)
        return service

    def _may_be_larger(self, row: sa.Row) -> bool:
        """Whether the provider may have a larger picture than the one that is kept."""
        shrunk = row.source == "dataset" or min(row.width, row.height) >= self._limits.shown_short_side
        return bool(self._limits.kept_pixels) and shrunk

    def _given_up(self, image_id: str, code: str, message: str) -> NotFetched:
        """The reason why the image's service is not asked again until the next start.

        What is remembered is never raised: an exception keeps the frames that it went through, with bytes of tiles.
        """
        self._remember(image_id, NotFetched(code, message))
        return NotFetched(code, message)

    def _remember(self, image_id: str, service: TileService | NotFetched) -> None:
        self._services[image_id] = service
        if len(self._services) > REMEMBERED:
            self._services.popitem(last=False)

    async def _fetched(self, row: sa.Row, original: str, remote: RemoteImages) -> dict[str, Any]:
        """The tiles of the picture as its provider has it. Raises NotFetched, Rejected, Busy."""
        async with self._place():
            data = await remote.fetch(original)
        async with self._decoder() as decoders:
            pyramid = await self._cut(decoders, data)
        if not _same_shape(row, pyramid.width, pyramid.height):
            message = f"{_host(original)} has a picture of another shape now, {pyramid.width} x {pyramid.height} px."
            raise NotFetched("another_picture", message)
        await asyncio.to_thread(self._pictures.keep_tiles, row.image_id, pyramid.archive)
        return {"width": pyramid.width, "height": pyramid.height, "tile_side": self._limits.tile_side}

    async def _cut(self, decoders: Decoders, data: bytes) -> Pyramid:
        side, most = self._limits.tile_side, self._limits.kept_pixels
        return await decoders.pyramid(Content(data, None), tile_side=side, most_pixels=most)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of the requests to other servers for a closer view. Raises Busy."""
        try:
            async with asyncio.timeout(self._limits.tile_timeout_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise Busy("Other tiles are being fetched. Try again in a moment.") from error
        try:
            yield
        finally:
            self._places.release()


def _kept(described: dict[str, Any]) -> View:
    width, height, side = described["width"], described["height"], described["tile_side"]
    return View("kept", width, height, side, _powers(max(width, height), side))


def _of_service(service: TileService) -> View:
    return View("service", service.width, service.height, service.side, service.factors, _host(service.base))


def _powers(length: int, side: int) -> tuple[int, ...]:
    """The powers of two from 1 to the first at which `length` fits into one tile."""
    factors = [1]
    while length > side * factors[-1]:
        factors.append(factors[-1] * 2)
    return tuple(factors)


def _same_shape(row: sa.Row, width: int, height: int) -> bool:
    """Whether a picture of this size may be the image of the queue."""
    ratio = (row.width / row.height) / (width / height)
    return abs(ratio - 1) <= SAME_SHAPE + 1 / min(row.width, row.height)


def _host(address: str) -> str:
    return urlsplit(address).hostname or address
