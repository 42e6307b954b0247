"""Tiles of a IIIF image service: which ones it has, and their addresses.

Source: the Image API's canonical URIs and its note on tiles (iiif.io/api/image/3.0, /2.1). Nothing here asks a server.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from ml.assistant.image_service import ImageService, is_info, number_of, objects_in, service_of

# The address of a picture that an image service sent: base/region/size/rotation/quality.format.
REQUEST = re.compile(r"(https?://.+)/full/[^/]+/0/(?:default|native|color)\.(?:jpg|png|webp|tif)", re.IGNORECASE)
OWN_SIDE = 512  # px, of tiles that a service cuts as it is asked
SIDES = (128, 1024)  # px, of tiles that are used as the service lists them: smaller are too many, larger too slow
LONGEST_SIDE = 1_000_000  # px; no scanner makes such a picture


class NoTiles(ValueError):
    """The service does not describe tiles that could be used; the message says why."""


@dataclass(frozen=True)
class TileService:
    """A picture that an image service sends in square tiles of `side` px, at each of the scale `factors`."""

    base: str
    version: int
    width: int  # px, of the whole picture
    height: int  # px
    side: int
    factors: tuple[int, ...]  # powers of two, from 1

    def has(self, factor: int, column: int, row: int) -> bool:
        """Whether there is such a tile."""
        across, down = (ceil(length / (self.side * factor)) for length in (self.width, self.height))
        return factor in self.factors and 0 <= column < across and 0 <= row < down

    def tile(self, factor: int, column: int, row: int) -> tuple[str, int, int]:
        """The address of a tile, and the width and height that it must have."""
        step = self.side * factor
        left, top = column * step, row * step
        region = (left, top, min(step, self.width - left), min(step, self.height - top))
        width, height = ceil(region[2] / factor), ceil(region[3] / factor)
        whole = region == (0, 0, self.width, self.height)
        part = "full" if whole else ",".join(map(str, region))
        size = f"{width},{height}" if self.version == 3 else f"{width},"
        if whole and factor == 1:
            size = "max" if self.version == 3 else "full"
        return f"{self.base}/{part}/{size}/0/{'native' if self.version == 1 else 'default'}.jpg", width, height


def base_in(address: str | None) -> str | None:
    """The address of the image service that sent the picture at this address; None if none did."""
    found = REQUEST.fullmatch(address or "")
    return found[1] if found else None


def tile_service(info: Any, base: str) -> TileService:
    """The tiles that a service's info.json describes. Raises NoTiles."""
    if not isinstance(info, dict) or not is_info(info):
        raise NoTiles("its info.json does not describe an image")
    service = service_of(info, base)
    if service.width is None or service.height is None or max(service.width, service.height) > LONGEST_SIDE:
        raise NoTiles("its info.json does not give a width and a height that a picture can have")
    side, listed = _side_and_factors(service, info)
    factors = [1]
    while max(service.width, service.height) > side * factors[-1]:
        factors.append(factors[-1] * 2)
    usable = factors if listed is None else [factor for factor in factors if factor in listed]
    if usable[:1] != [1]:
        raise NoTiles("it has no tiles at full size")
    return TileService(base, service.version or 2, service.width, service.height, side, tuple(usable))


def _side_and_factors(service: ImageService, info: Mapping[str, Any]) -> tuple[int, frozenset[int] | None]:
    """The side of the tiles, and the factors that a service without scaling (level 0) is confined to."""
    usable = [
        (side, each)
        for each in objects_in(info.get("tiles"))
        if (side := number_of(each.get("width")))
        and SIDES[0] <= side <= SIDES[1]
        and (number_of(each.get("height")) or side) == side
    ]
    listed = min(usable, key=lambda tile: abs(tile[0] - OWN_SIDE), default=None)
    if service.level in (1, 2):
        return (listed[0] if listed else OWN_SIDE), None
    if listed is None:
        raise NoTiles("it lists no square tiles")
    factors = listed[1].get("scaleFactors")
    numbers = [number_of(each) for each in factors] if isinstance(factors, list) else []
    return listed[0], frozenset(number for number in numbers if number)
