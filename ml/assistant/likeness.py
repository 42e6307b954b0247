"""How alike two pictures are to a model: the cosine of the features that its networks make of them."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
Vector = NDArray[np.floating]
Reader = Callable[[], bytes]  # reads a JPEG
TABLE = "CREATE TABLE IF NOT EXISTS features (model TEXT, image_id TEXT, vector BLOB, PRIMARY KEY (model, image_id))"


class Likeness:
    """Features of pictures by model, computed once and kept in a file, which may be removed: it is only a cache.

    `compute` gives the features of a JPEG: image id, bytes, key of the model.
    """

    def __init__(self, file: Path, compute: Callable[[str, bytes, str], Awaitable[Vector]]):
        self._file, self._compute = file, compute
        self._known: dict[str, dict[str, Vector]] = {}  # by key and version of the model
        self._lock = threading.Lock()

    async def features(
        self, pictures: Mapping[str, Reader], model: str, name: str, *, budget_s: float
    ) -> dict[str, Vector]:
        """The features (float32, unit length) of these pictures, as many as are known or take no longer than this.

        `model` and `name`: the model's key, and its key and version. The first picture is always among them, unless its
        file is missing or damaged, as then any picture is left out.
        """
        known = await asyncio.to_thread(self._of_model, name)
        start = time.monotonic()
        for position, (image_id, read) in enumerate(pictures.items()):
            if image_id in known:
                continue
            if position and time.monotonic() - start > budget_s:
                break
            try:
                vector = await self._compute(image_id, await asyncio.to_thread(read), model)
            except OSError as error:  # the file is missing, or its bytes are no picture
                log.warning("The picture of %s cannot be read: %s", image_id, error)
                continue
            await asyncio.to_thread(self._keep, name, image_id, vector.astype(np.float16))
        return {each: known[each].astype(np.float32) for each in pictures if each in known}

    def _of_model(self, name: str) -> dict[str, Vector]:
        with self._lock:
            if name not in self._known:
                with closing(self._opened()) as file:
                    rows = file.execute("SELECT image_id, vector FROM features WHERE model = ?", (name,))
                    self._known[name] = {image_id: np.frombuffer(vector, np.float16) for image_id, vector in rows}
            return self._known[name]

    def _keep(self, name: str, image_id: str, vector: Vector) -> None:
        with self._lock, closing(self._opened()) as file, file:
            file.execute("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", (name, image_id, vector.tobytes()))
        self._known[name][image_id] = vector

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(self._file, timeout=20)
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=NORMAL")
        file.execute(TABLE)
        return file


def likeness(one: Vector, others: Mapping[str, Vector]) -> dict[str, float]:
    """The cosine of one picture's features with those of each other, the most alike first; equal ones by id."""
    cosines = {image_id: round(float(one @ other), 4) for image_id, other in others.items()}
    return dict(sorted(cosines.items(), key=lambda pair: (-pair[1], pair[0])))
