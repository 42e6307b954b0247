"""Pictures of four fields, whose colours tell what a reader made of them, and the means to compare them."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.images.formats.read import open_picture
from pipeline.images.verify import sniff

COLOURS = ((210, 50, 40), (30, 150, 70), (60, 70, 180), (235, 205, 110))
GREYS = (230, 150, 80, 20)
SIDE = 32  # px of a field; the picture is two fields wide, and one and a half high so that turning shows


def fields(values: tuple, dtype: type = np.uint8) -> NDArray:
    """Four fields in two rows: height x width, or height x width x samples."""
    grid = np.array(values, dtype).reshape(2, 2, *np.shape(values)[1:])
    return grid.repeat(SIDE * 3 // 4, axis=0).repeat(SIDE, axis=1)


def picture(values: tuple = COLOURS) -> Image.Image:
    """The four fields as a picture."""
    return Image.fromarray(fields(values))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file's bytes."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(data: bytes, wanted: int = 512) -> Image.Image:
    """What the readers make of the bytes."""
    return open_picture(data, sniff(data)).picture(wanted)


def seen(data: bytes | Image.Image) -> list[tuple[int, ...]]:
    """The four fields' colours, row by row, as they are seen."""
    image = read(data) if isinstance(data, bytes) else data.convert("RGB")
    width, height = image.size
    return [tuple(np.asarray(image)[y * height // 4, x * width // 4].tolist()) for y in (1, 3) for x in (1, 3)]


def same(one: object, other: object, tolerance: int = 2) -> bool:
    """Whether two lists of colours are the same but for rounding."""
    return bool((np.abs(np.array(one, int) - np.array(other, int)) <= tolerance).all())


def grey(values: tuple = GREYS) -> list[tuple[int, ...]]:
    """The grey levels as colours."""
    return [(value, value, value) for value in values]


def order(*fields: int, colours: tuple = COLOURS) -> list[tuple[int, ...]]:
    """The colours in another order."""
    return [colours[field] for field in fields]


# Where the four fields are seen after each orientation of EXIF.
TURNED = {
    1: (0, 1, 2, 3),
    2: (1, 0, 3, 2),
    3: (3, 2, 1, 0),
    4: (2, 3, 0, 1),
    5: (0, 2, 1, 3),
    6: (2, 0, 3, 1),
    7: (3, 1, 2, 0),
    8: (1, 3, 0, 2),
}
