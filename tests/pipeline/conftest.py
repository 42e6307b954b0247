"""A small museum as tables: drawn images, two tags deep, with every split and every edge the release must survive."""

import hashlib
import io
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from pipeline.tables import IMAGES, RECORD_TAGS, RECORDS, SPLIT_TABLE, SPLIT_TAGS, TAGS

REAL_AAT = pytest.mark.xdist_group("real_aat")  # one worker reads it, which takes seconds
TREE = {  # facet: {tag: parent}
    "object_types": {"300100001": None, "300100002": "300100001", "300100003": "300100002", "300100004": None},
    "materials": {"300200001": None, "300200002": "300200001", "300200003": "300200001"},
    "classifications": {"300300001": None},
    "subjects": {"300400001": None, "300400002": None},
}
LABELS = {"300100001": "vessels", "300100003": "amphorae", "300200001": "metal", "300200002": "bronze"}
LEAVES = {
    "object_types": ["300100003", "300100002", "300100004"],
    "materials": ["300200002", "300200003", "300200001"],
    "classifications": ["300300001"],
    "subjects": ["300400001", "300400002"],
}
SPLIT_CYCLE = ("train", "train", "train", "inner_test", "validation", "outer_test", "train", "inner_test", "left_out")
RIGHTS = (
    "http://creativecommons.org/publicdomain/mark/1.0/",
    "http://creativecommons.org/licenses/by-sa/4.0/",
)


@dataclass(frozen=True)
class SmallMuseum:
    """The tables a dataset is written from; images lie in shards under `images`."""

    images: Path
    records: pl.DataFrame
    record_tags: pl.DataFrame
    tags: pl.DataFrame
    splits: pl.DataFrame
    split_tags: pl.DataFrame


def make_museum(folder: Path, n: int = 90, seed: int = 1) -> SmallMuseum:
    """`n` records of five providers; about a fifth of the facets is not annotated; 300200003 is never in training."""
    generator = np.random.default_rng(seed)
    records, images, stated, splits = [], [], [], []
    for number in range(n):
        record_id = f"/{number % 7}/item_{number:04d}"
        split = SPLIT_CYCLE[number % len(SPLIT_CYCLE)]
        chosen = [
            (facet, LEAVES[facet][int(generator.integers(len(LEAVES[facet])))])
            for facet in TREE
            if generator.random() < (0.8 if facet != "subjects" else 0.3)
        ] or [("materials", "300200002")]
        chosen = [(f, "300200002" if t == "300200003" and split == "train" else t) for f, t in chosen]
        stated += [(record_id, facet, tag) for facet, tag in chosen]
        records.append(_record(record_id, number))
        images.append(_image(record_id, number))
        splits.append(
            {
                "record_id": record_id,
                "view": 0,
                "split": split,
                "suite": split,
                "group_id": f"{record_id}#0" if number % 10 else "g0",
                "reason": "drawn for the test",
            }
        )
    images_folder = folder / "images"
    shuffled = IMAGES.frame(images).sample(fraction=1.0, shuffle=True, seed=seed)
    for shard in range(3):  # shards cut across the key order: nothing may rely on it
        IMAGES.write(shuffled[shard::3], images_folder / f"part-{shard:05d}.parquet", row_group_size=10)
    record_tags = RECORD_TAGS.frame(_closed(stated))
    split_frame = SPLIT_TABLE.frame(splits)
    return SmallMuseum(
        images_folder,
        RECORDS.frame(records).sort("record_id"),
        record_tags.sort("record_id", "facet", "tag_id"),
        _tags(record_tags),
        split_frame.sort("record_id"),
        _split_tags(record_tags, split_frame),
    )


def _record(record_id: str, number: int) -> dict[str, object]:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "record_id": record_id,
        "collections": ["tool"],
        "dataset": "test",
        "data_provider": f"Museum {number % 5}",
        "provider": "Aggregator",
        "country": "Spain",
        "rights_uri": RIGHTS[number % 2],
        "attribution": f"Item {number}, Museum {number % 5}",
        "titles": [{"language": "en", "text": f"Item {number}"}],
        "image_url": f"https://museum.example/{number}.jpg",
        "thumbnail_url": f"https://api.europeana.eu/thumbnail/{number}",
        "landing_page": f"https://museum.example/{number}",
        "created_at": when,
        "updated_at": when,
        "harvested_at": when,
        "request": "https://api.europeana.eu/record/v2/search.json?query=tool",
    }


def _image(record_id: str, number: int) -> dict[str, object]:
    buffer = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 13 % 256)
    Image.new("RGB", (24, 32), colour).save(buffer, "JPEG")
    image_id = hashlib.sha256(record_id.encode()).hexdigest()
    return {
        "record_id": record_id,
        "view": 0,
        "image_id": image_id,
        "image": {"bytes": buffer.getvalue(), "path": f"{image_id}.jpg"},
        "width": 24,
        "height": 32,
        "source_url": f"https://api.europeana.eu/thumbnail/{number}",
        "perceptual_hash": number,
    }


def _closed(stated: list[tuple[str, str, str]]) -> list[dict[str, object]]:
    rows: dict[tuple[str, str, str], bool] = {}
    for record_id, facet, tag in stated:
        rows[record_id, facet, tag] = True
        parent = TREE[facet][tag]
        while parent:
            rows.setdefault((record_id, facet, parent), False)
            parent = TREE[facet][parent]
    return [{"record_id": r, "facet": f, "tag_id": t, "stated": s} for (r, f, t), s in rows.items()]


def _path(facet: str, tag: str) -> list[str]:
    parent = TREE[facet][tag]
    return [*(_path(facet, parent) if parent else []), tag]


def _tags(record_tags: pl.DataFrame) -> pl.DataFrame:
    counts = dict(record_tags.group_by("tag_id").len().iter_rows())
    return TAGS.frame(
        [
            {
                "tag_id": tag,
                "facet": facet,
                "parent": parent,
                "depth": len(_path(facet, tag)),
                "path": _path(facet, tag),
                "labels": [
                    {"language": "ca", "text": f"etiqueta {tag}"},
                    {"language": "en", "text": LABELS.get(tag, f"tag {tag}")},
                ],
                "n_images": counts.get(tag, 0),
            }
            for facet, tree in TREE.items()
            for tag, parent in tree.items()
        ]
    ).sort("tag_id")


def _split_tags(record_tags: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    joined = record_tags.join(splits.select("record_id", "split"), on="record_id")
    counts = {(tag, split): n for tag, split, n in joined.group_by("tag_id", "split").len().iter_rows()}
    rows = []
    for facet, tree in TREE.items():
        for tag in tree:
            by_split = {s: counts.get((tag, s), 0) for s in ("train", "validation", "inner_test", "outer_test")}
            left = by_split["train"] + by_split["validation"] + by_split["inner_test"]
            rows.append(
                {
                    "tag_id": tag,
                    "facet": facet,
                    "n_left": left,
                    "minimum": 1,
                    "maximum": left // 3,
                    **by_split,
                    "scored": by_split["train"] > 0,
                }
            )
    return SPLIT_TAGS.frame(rows).sort("tag_id")


@pytest.fixture(scope="session")
def museum(tmp_path_factory: pytest.TempPathFactory) -> SmallMuseum:
    """Ninety records, five providers, four facets, every split."""
    return make_museum(tmp_path_factory.mktemp("museum"))


@pytest.fixture(scope="session")
def real_aat(shared: Path) -> tuple[pl.DataFrame, float]:
    """The concepts of the real AAT of 2020, and the processor seconds that reading them took."""
    from pipeline.vocabulary.dump import DumpSource

    start = time.process_time()
    dumps = [shared / "aat" / name for name in ("aat_subset.nt.gz", "aat_types_inferred.nt.gz")]
    return DumpSource(dumps).all_concepts(), time.process_time() - start
