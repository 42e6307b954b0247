"""A small dataset folder for tests: coloured shapes whose tags can be seen."""

import hashlib
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from pipeline import FACETS

# facet -> (tag id, label, parent): colour is the material, shape the object type, background the classification.
TREES: dict[str, list[tuple[str, str, str | None]]] = {
    "object_types": [
        ("300000001", "vessels", None),
        ("300000002", "bowls (vessels)", "300000001"),
        ("300000003", "jars", "300000001"),
        ("300000004", "textiles", None),
        ("300000005", "carpets", "300000004"),
        ("300000006", "knotted carpets", "300000005"),
    ],
    "materials": [
        ("300000011", "metal", None),
        ("300000012", "gold", "300000011"),
        ("300000013", "copper", "300000011"),
        ("300000014", "glass", None),
    ],
    "classifications": [("300000021", "ceramics", None), ("300000022", "weaving", None)],
    "subjects": [("300000031", "portraits", None), ("300000032", "landscapes", None)],
}
SHAPES = {"300000002": "ellipse", "300000003": "rectangle", "300000006": "triangle"}
COLOURS = {"300000012": (230, 190, 40), "300000013": (180, 80, 40), "300000014": (60, 150, 220)}
GROUNDS = {"300000021": (20, 20, 20), "300000022": (235, 235, 235)}
SIZES = {"train": 96, "validation": 24, "inner_test": 24, "outer_test": 18}


def write_museum(folder: Path, sizes: dict[str, int] | None = None, *, px: int = 80, seed: int = 0) -> Path:
    """`tag_list.json` and `<split>/part-00000.parquet` as `pipeline.release.folder` writes them."""
    rng = random.Random(seed)
    rows = {split: [_row(split, number, rng, px) for number in range(n)] for split, n in (sizes or SIZES).items()}
    facets = {facet: [_tag(facet, entry, rows["train"]) for entry in tree] for facet, tree in TREES.items()}
    keys = {facet: [[tag["tag_id"], tag["parent"]] for tag in facets[facet]] for facet in FACETS}
    tag_list_hash = hashlib.sha256(json.dumps(keys).encode()).hexdigest()
    split_hash = hashlib.sha256(f"{seed} {sizes}".encode()).hexdigest()
    content = {"split_hash": split_hash, "tag_list_hash": tag_list_hash, "facets": facets}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tag_list.json").write_text(json.dumps(content), encoding="utf-8")
    for split, each in rows.items():
        table = pa.Table.from_pylist(each, schema=_schema())
        table = table.replace_schema_metadata({"split_hash": split_hash, "tag_list_hash": tag_list_hash})
        (folder / split).mkdir(exist_ok=True)
        pq.write_table(table, folder / split / "part-00000.parquet", row_group_size=100)
    return folder


def _row(split: str, number: int, rng: random.Random, px: int) -> dict[str, Any]:
    shape, colour, ground = rng.choice(list(SHAPES)), rng.choice(list(COLOURS)), rng.choice(list(GROUNDS))
    stated = {"object_types": shape, "materials": colour, "classifications": ground}
    if number % 3 == 0:
        del stated["classifications"]  # a facet without annotation
    if number % 7 == 0:
        stated["object_types"] = "300000004" if shape == "300000006" else "300000001"  # it stops at an inner node
    if number % 2:
        stated["subjects"] = "300000031" if shape == "300000003" else "300000032"
    row: dict[str, Any] = {
        "record_id": f"/{split}/{number:04d}",
        "view": 0,
        "image_id": f"{split}-{number}",
        "image": {"bytes": _jpeg(SHAPES[shape], COLOURS[colour], GROUNDS[ground], rng, px), "path": f"{number}.jpg"},
        "data_provider": "Outer Museum" if split == "outer_test" else ("Museum A", "Museum B", "Museum C")[number % 3],
        "group_id": f"{split}-{number}",
    }
    for facet in FACETS:
        tags = [stated[facet]] if facet in stated else []
        row[facet] = sorted({above for tag in tags for above in _path(facet, tag)})
        row[f"{facet}_stated"] = tags
    return row


def _jpeg(shape: str, colour: tuple[int, ...], ground: tuple[int, ...], rng: random.Random, px: int) -> bytes:
    picture = Image.new("RGB", (px + rng.randrange(px // 4), px), ground)
    draw = ImageDraw.Draw(picture)
    x, y, r = rng.randrange(px // 4, px // 2), rng.randrange(px // 4, px // 2), rng.randrange(px // 5, px // 3)
    box = (x - r // 2, y - r // 2, x + r, y + r)
    if shape == "ellipse":
        draw.ellipse(box, fill=colour)
    elif shape == "rectangle":
        draw.rectangle(box, fill=colour)
    else:
        draw.polygon([(box[0], box[3]), (box[2], box[3]), ((box[0] + box[2]) / 2, box[1])], fill=colour)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def _path(facet: str, tag_id: str) -> list[str]:
    parents = {entry[0]: entry[2] for entry in TREES[facet]}
    path: list[str] = []
    current: str | None = tag_id
    while current is not None:
        path.append(current)
        current = parents[current]
    return path[::-1]


def _tag(facet: str, entry: tuple[str, str, str | None], rows: list[dict[str, Any]]) -> dict[str, Any]:
    tag_id, label, parent = entry
    path = _path(facet, tag_id)
    return {
        "tag_id": tag_id,
        "label": label,
        "labels": {"en": label},
        "parent": parent,
        "depth": len(path),
        "path": path,
        "n_train": sum(tag_id in row[facet] for row in rows),
    }


def _schema() -> pa.Schema:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [("record_id", pa.string()), ("view", pa.int16()), ("image_id", pa.string()), ("image", image)]
    fields += [("data_provider", pa.string()), ("group_id", pa.string())]
    for facet in FACETS:
        fields += [(facet, pa.list_(pa.string())), (f"{facet}_stated", pa.list_(pa.string()))]
    return pa.schema(fields)
