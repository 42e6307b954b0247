"""The pictures as files: re-encoded JPEG under the sha256 of the uploaded bytes, which are not kept."""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

from ml.assistant.limits import AssistantLimits
from pipeline.files import whole_file
from pipeline.images.pyramid import DESCRIPTION, tile_name
from pipeline.images.verify import encoded, shrunk

IMAGE_ID = re.compile(r"[0-9a-f]{64}")


def image_id_of(data: bytes) -> str:
    """The id of an image: the sha256 of its source bytes."""
    return hashlib.sha256(data).hexdigest()


class NoPicture(FileNotFoundError):
    """The file of a picture is missing in the assistant's folder."""


class Pictures:
    """A folder of re-encoded pictures and their thumbnails. Only ids, which are hashes, become paths."""

    def __init__(self, folder: Path, limits: AssistantLimits):
        self.folder, self.limits = folder, limits

    def keep(self, image_id: str, jpeg: bytes) -> None:
        """Write the picture and its thumbnail to disk."""
        with opened(jpeg) as picture:
            thumbnail = shrunk(picture.convert("RGB"), self.limits.thumbnail_short_side)
        small = encoded(thumbnail, self.limits.images.jpeg_quality)
        for file, content in ((self.thumbnail(image_id), small), (self.file(image_id), jpeg)):
            if not file.exists():
                with whole_file(file) as temporary:
                    temporary.write_bytes(content)

    def file(self, image_id: str) -> Path:
        """The path of the picture. Raises ValueError for an id that is not a sha256."""
        return self._path(image_id, ".jpg")

    def thumbnail(self, image_id: str) -> Path:
        """The path of its thumbnail. Raises ValueError for an id that is not a sha256."""
        return self._path(image_id, ".small.jpg")

    def read(self, image_id: str) -> bytes:
        """The picture as JPEG. Raises NoPicture."""
        return self.there(self.file(image_id)).read_bytes()

    def there(self, file: Path) -> Path:
        """The path of a picture or thumbnail that is there. Raises NoPicture."""
        if not file.exists():
            raise NoPicture("The picture of this image is missing in the assistant's folder.")
        return file

    def keep_tiles(self, image_id: str, archive: bytes) -> None:
        """Write the tiles of the largest picture to disk."""
        with whole_file(self._tiles(image_id)) as temporary:
            temporary.write_bytes(archive)

    def described_tiles(self, image_id: str) -> dict[str, Any] | None:
        """Width, height and side of the kept tiles; None if there are none."""
        file = self._tiles(image_id)
        if not file.exists():
            return None
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read(DESCRIPTION))

    def tile(self, image_id: str, factor: int, column: int, row: int) -> bytes | None:
        """The JPEG of a kept tile; None if there is none."""
        file = self._tiles(image_id)
        if not file.exists():
            return None
        with zipfile.ZipFile(file) as archive:
            name = tile_name(factor, column, row)
            return archive.read(name) if name in archive.NameToInfo else None

    def _tiles(self, image_id: str) -> Path:
        return self._path(image_id, ".tiles.zip")

    def _path(self, image_id: str, ending: str) -> Path:
        if not IMAGE_ID.fullmatch(image_id):
            raise ValueError("an image id is 64 hexadecimal digits")
        return self.folder / image_id[:2] / f"{image_id}{ending}"


def opened(jpeg: bytes) -> Image.Image:
    """A picture that this program encoded."""
    return Image.open(io.BytesIO(jpeg), formats=("JPEG",))


def for_model(jpeg: bytes, short_side: int) -> Image.Image:
    """The picture as in the dataset: not decoded yet, or shrunk to `short_side` if it is larger.

    A small picture is decoded by the model itself, so that its scores equal those of its predictions.
    """
    picture = opened(jpeg)
    if min(picture.size) <= short_side:
        return picture
    with picture:
        picture.draft("RGB", (short_side * 2, short_side * 2))
        return shrunk(picture.convert("RGB"), short_side)
