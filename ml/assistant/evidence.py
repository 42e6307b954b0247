"""Why a tag may fit: the pictures that carry it and look most like this one, with their source and rights."""

from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from ml.assistant.dataset_images import DatasetImages
from ml.assistant.likeness import Reader
from ml.assistant.pictures import Pictures
from ml.assistant.schema import decisions, images
from ml.assistant.store import Store
from ml.assistant.together import verdicts_of
from pipeline.harvest.items import rights_name
from pipeline.tables import RECORDS

EUROPEANA_ITEM = "https://www.europeana.eu/item"


class TaggedPictures:
    """The pictures that carry a tag: training images whose record has it, and images on which people accepted it."""

    def __init__(self, store: Store, pictures: Pictures, examples: DatasetImages | None, records: Path | None):
        self._store, self._pictures, self._examples, self._records = store, pictures, examples, records

    def training(self, tag_id: str, but: Collection[str], most: int | None = None) -> dict[str, Reader]:
        """The training images by id, without those of `but`: at most so many, providers in turn."""
        if self._examples is None:
            return {}
        found = self._examples.of_tag(tag_id, most)
        return {image_id: self._reader_of_example(image_id) for image_id in found if image_id not in but}

    def decided(self, tag_id: str, but: Collection[str], most: int) -> dict[str, Reader]:
        """The images on which people accepted the tag, the latest first, at most so many; without those of `but`."""
        found = self._decided(tag_id, most)
        return {image_id: partial(self._pictures.read, image_id) for image_id in found if image_id not in but}

    def _reader_of_example(self, image_id: str) -> Reader:
        examples = self._examples
        assert examples is not None
        return lambda: examples.jpeg(image_id)

    def _decided(self, tag_id: str, most: int) -> list[str]:
        """The images on which the tag counts as accepted now, the latest first."""
        accepted = (decisions.c.tag_id == tag_id) & decisions.c.action.in_(("accept", "add"))
        firsts = decisions.join(images, images.c.image_id == decisions.c.image_id)
        chosen = sa.select(decisions.c.image_id).select_from(firsts).where(accepted, images.c.second_of.is_(None))
        query = chosen.group_by(decisions.c.image_id)
        latest = query.order_by(sa.func.max(decisions.c.decision_id).desc()).limit(most)
        with self._store.engine.connect() as connection:
            candidates = connection.execute(latest).scalars().all()
        verdicts = verdicts_of(self._store, candidates)
        return [image_id for image_id in candidates if verdicts[image_id].get(tag_id) == "accepted"]

    def described(self, image_ids: Iterable[str]) -> list[dict[str, Any]]:
        """Each picture with title, holder, rights and where it is published; `kind` is training or decided."""
        wanted = list(image_ids)
        locations = self._examples.locations if self._examples is not None else {}
        with self._store.engine.connect() as connection:
            rows = connection.execute(sa.select(images).where(images.c.image_id.in_(wanted))).all()
        queued = {row.image_id: row for row in rows}
        record_of = {image_id: row.record_id for image_id, row in queued.items()}
        record_of |= {image_id: locations[image_id].record_id for image_id in wanted if image_id in locations}
        records = self._of_records({record for record in record_of.values() if record})
        return [
            _described(image_id, queued.get(image_id), locations.get(image_id), records.get(record_of[image_id] or ""))
            for image_id in wanted
        ]

    def _of_records(self, record_ids: set[str]) -> dict[str, dict[str, Any]]:
        if self._records is None or not self._records.exists() or not record_ids:
            return {}
        columns = ["record_id", "titles", "data_provider", "rights_uri"]
        found = RECORDS.read(self._records, columns).filter(pl.col("record_id").is_in(list(record_ids)))
        return {row["record_id"]: row for row in found.iter_rows(named=True)}


def _described(image_id: str, row: sa.Row | None, location: Any, record: dict[str, Any] | None) -> dict[str, Any]:
    record = record or {}
    titles = sorted(record.get("titles") or (), key=lambda title: (title["language"] != "en", title["language"]))
    record_id = (location.record_id if location else None) or (row.record_id if row is not None else None)
    rights = record.get("rights_uri")
    return {
        "image_id": image_id,
        "kind": "decided" if location is None else "training",
        "title": titles[0]["text"] if titles else (row.title if row is not None else "") or record_id or "",
        "holder": record.get("data_provider") or (location.data_provider if location else row and row.attribution),
        "rights_uri": rights,
        "rights": rights_name(rights) if rights else None,
        "page": f"{EUROPEANA_ITEM}{record_id}" if record_id else row and row.source_url,
    }
