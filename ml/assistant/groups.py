"""The group of an image at the desk: near-duplicates and images of one record, as the dataset groups them."""

from functools import cached_property
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from ml.assistant.schema import images
from ml.assistant.store import Store
from ml.dataset.split import group_key

COLUMNS = ["image_id", "record_id", "group_id"]


class Groups:
    """Groups of the dataset's images, and of what else is in the store: by record, by IIIF manifest, or alone.

    Near-duplicates are known among the images of the dataset only.
    """

    def __init__(self, store: Store | None, dataset: Path | None):
        self._store, self._dataset = store, dataset

    def of(self, image_id: str) -> int:
        """The number of the image's group (ml.dataset.split.group_key)."""
        return group_key(self._in_dataset("image_id", image_id) or self._at_desk(image_id))

    def _at_desk(self, image_id: str) -> str:
        row = self._row(image_id)
        if row is None:
            return image_id
        if row.record_id:
            return self._in_dataset("record_id", row.record_id) or f"record {row.record_id}"
        return f"manifest {row.manifest}" if row.manifest else image_id

    def _row(self, image_id: str) -> sa.Row | None:
        if self._store is None:
            return None
        query = sa.select(images.c.record_id, images.c.manifest).where(images.c.image_id == image_id)
        with self._store.engine.connect() as connection:
            return connection.execute(query).first()

    def _in_dataset(self, column: str, value: str) -> str | None:
        found = self._known.filter(pl.col(column) == value)
        return found["group_id"][0] if len(found) else None

    @cached_property
    def _known(self) -> pl.DataFrame:
        """The images of all splits with their groups."""
        files = sorted(self._dataset.glob("*/part-*.parquet")) if self._dataset else []
        tables = [pl.read_parquet(file, columns=COLUMNS) for file in files]
        return (
            pl.concat(tables).unique("image_id", keep="first")
            if tables
            else pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String))
        )
