"""Pictures in tiles, for viewers that zoom: cut from a picture, or sent by an image service and checked."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, sqrt

from PIL import Image

from pipeline.images.verify import Limits, Rejected, decoded, encoded, opened, refuse_polyglot, sniff

QUALITY = 85  # of a tile, ours: at full size, what JPEG leaves out cannot be seen
DESCRIPTION = "pyramid.json"  # width, height and tile_side
ROUNDING = 1  # px by which image services differ in the size of a tile


@dataclass(frozen=True)
class Pyramid:
    """A picture as tiles at full size, half size, a quarter and so on, until one tile holds it."""

    width: int  # px, of the largest level
    height: int  # px
    archive: bytes  # ZIP without compression: one JPEG per tile, by the name that `tile_name` gives, and DESCRIPTION


def tile_name(factor: int, column: int, row: int) -> str:
    """The name of a tile in the archive. `factor`: how often the picture is scaled down, a power of two."""
    return f"{factor}/{column}_{row}.jpg"


def cut(data: bytes, limits: Limits, tile_side: int, most_pixels: int) -> Pyramid:
    """The picture in tiles of `tile_side` px; it is scaled down if it has more than `most_pixels`. Raises Rejected."""
    picture = _decoded(data, limits)
    scale = sqrt(most_pixels / (picture.width * picture.height))
    if scale < 1:
        picture = picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        described = {"width": picture.width, "height": picture.height, "tile_side": tile_side}
        archive.writestr(zipfile.ZipInfo(DESCRIPTION), json.dumps(described))
        for name, tile in _tiles(picture, tile_side):
            archive.writestr(zipfile.ZipInfo(name), encoded(tile, QUALITY))
    return Pyramid(*picture.size, out.getvalue())


def checked_tile(data: bytes, limits: Limits, width: int, height: int) -> Pyramid:
    """A tile from an image service, encoded again. Raises Rejected; `wrong_size` if it is no tile of this size."""
    picture = _decoded(data, limits)
    if abs(picture.width - width) > ROUNDING or abs(picture.height - height) > ROUNDING:
        raise Rejected("wrong_size", f"{picture.width} x {picture.height} px instead of {width} x {height}")
    return Pyramid(*picture.size, encoded(picture, QUALITY))


def _decoded(data: bytes, limits: Limits) -> Image.Image:
    """The whole picture. A narrow one and one of a single colour are tiles too."""
    kind = sniff(data)
    refuse_polyglot(data, kind)
    return decoded(opened(data, kind, limits), limits)


def _tiles(picture: Image.Image, side: int) -> Iterator[tuple[str, Image.Image]]:
    width, height, factor = *picture.size, 1
    while True:
        for row in range(ceil(picture.height / side)):
            for column in range(ceil(picture.width / side)):
                left, top = column * side, row * side
                box = (left, top, min(left + side, picture.width), min(top + side, picture.height))
                yield tile_name(factor, column, row), picture.crop(box)
        if max(picture.size) <= side:
            return
        factor *= 2
        picture = picture.resize((ceil(width / factor), ceil(height / factor)), Image.Resampling.BOX)
