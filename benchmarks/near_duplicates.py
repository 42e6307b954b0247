"""Recall of planted copies, and false joins: crop, resize, re-JPEG, watermark, colour shift, second view.

    .venv/bin/python -m benchmarks.near_duplicates [MUSEUM] [--weights FOLDER]

Copies of seeded originals are added under other records (second views under the same one); then everything is verified,
embedded and grouped as in a real run. Recall: copies in the group of their original. False joins: images in a group
whose most common object is another one. The objects of the rendered museum are known. Those of another museum are not:
there, groups from before the planting count as true, are counted in the note, and can be checked on the page `--page`.
"""

import argparse
import hashlib
import io
import json
import random
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
from PIL import Image, ImageDraw, ImageEnhance

from ml.features.extract import extract_features
from pipeline.images.duplicates.near_duplicates import group_images, stored_pictures, vectors_of
from pipeline.images.duplicates.page import duplicate_pairs_page
from pipeline.images.verify import Limits, Rejected, verify
from pipeline.sandbox.items import record_id_of
from pipeline.sandbox.plan import holdings
from pipeline.sandbox.render import IMAGES as RENDERED
from pipeline.sandbox.render import SEED as RENDERED_SEED
from pipeline.sandbox.render import render_museum
from pipeline.settings import RENDERED_MUSEUM, FeatureSettings, ImageSettings
from pipeline.tables import IMAGES

SEED = 340
COPIES = 600


def crop(picture: Image.Image, draw: random.Random) -> Image.Image:
    """A random window of 80 % to 95 % of width and height."""
    width, height = (max(16, round(side * draw.uniform(0.8, 0.95))) for side in picture.size)
    left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def resize(picture: Image.Image, draw: random.Random) -> Image.Image:
    """40 % to 90 % of the size."""
    share = draw.uniform(0.4, 0.9)
    width, height = (max(16, round(side * share)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def rejpeg(picture: Image.Image, draw: random.Random) -> Image.Image:
    """JPEG of quality 25 to 70."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=draw.randint(25, 70))
    return Image.open(out).convert("RGB")


def watermark(picture: Image.Image, draw: random.Random) -> Image.Image:
    """A line of half-transparent white text, a ninth of the width high, somewhere in the middle."""
    layer = Image.new("RGBA", picture.size)
    position = (picture.width * 0.1, picture.height * draw.uniform(0.3, 0.8))
    ImageDraw.Draw(layer).text(
        position, "© MUSEUM ARCHIVE", fill=(255, 255, 255, 150), font_size=max(10, picture.width // 9)
    )
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def colour(picture: Image.Image, draw: random.Random) -> Image.Image:
    """Brightness, contrast, saturation and white balance shifted."""
    picture = ImageEnhance.Brightness(picture).enhance(draw.uniform(0.75, 1.25))
    picture = ImageEnhance.Contrast(picture).enhance(draw.uniform(0.8, 1.2))
    picture = ImageEnhance.Color(picture).enhance(draw.uniform(0.5, 1.4))
    bands = [band.point(_times(draw.uniform(0.9, 1.1))) for band in picture.split()]
    return Image.merge("RGB", bands)


def _times(factor: float) -> Callable[[int], float]:
    return lambda value: value * factor


KINDS: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "crop": crop,
    "resize": resize,
    "rejpeg": rejpeg,
    "watermark": watermark,
    "colour": colour,
}


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("museum", type=Path, nargs="?", default=RENDERED_MUSEUM)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    extractor = "mobilenetv2" if asked.weights else "random-inception"
    features = FeatureSettings(
        extractors=(extractor,), weights=asked.weights, image_size=128 if asked.weights else None
    )
    if asked.museum == RENDERED_MUSEUM:
        render_museum(RENDERED_MUSEUM)
    originals, copies = plant(asked.museum, asked.copies)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        IMAGES.write(rows(originals + copies), folder / "images" / "part-00000.parquet", row_group_size=100)
        extract_features(folder / "images", folder / "features", features)
        vectors = list(vectors_of(folder / "features", extractor))
        images = IMAGES.read(folder / "images")
        pictures = stored_pictures(folder / "images")
        own = images.filter(~pl.col("record_id").str.contains("/copy/")).filter(view=0)
        before = group_images(own, vectors, pictures, SETTINGS)
        started = time.perf_counter()
        after = group_images(images, vectors, pictures, SETTINGS)
        seconds = time.perf_counter() - started
        if asked.page:
            duplicate_pairs_page(before, folder / "images", asked.page)
    objects = drawn_objects() if asked.museum == RENDERED_MUSEUM else None
    print(json.dumps(outcome(asked.museum.name, extractor, before, after, copies, objects, seconds)))


SETTINGS = ImageSettings()


def plant(museum: Path, count: int) -> tuple[list[dict], list[dict]]:
    """The museum's verified pictures once each, and `count` copies: rows with record_id, view, source and data."""
    limits = Limits(SETTINGS.short_side, SETTINGS.min_short_side, SETTINGS.jpeg_quality, SETTINGS.max_pixels)
    originals, seen = [], set()
    for file in sorted((museum / "media").iterdir()):
        data = file.read_bytes()
        image_id = hashlib.sha256(data).hexdigest()
        if image_id in seen:
            continue
        seen.add(image_id)
        try:
            picture = verify(data, limits)
        except Rejected:
            continue
        originals.append(_row(f"/original/{file.stem}", 0, image_id, picture, "original", f"/original/{file.stem}#0"))
    draw = random.Random(SEED)
    draw.shuffle(originals)
    views, originals = originals[: count // (len(KINDS) + 1)], originals[count // (len(KINDS) + 1) :]
    copies = []
    for number, original in enumerate(originals[: count - len(views)]):
        copies.append(_copy(original, [*KINDS][number % len(KINDS)], limits, draw))
    for view, original in zip(views, originals[count - len(views) :], strict=False):  # kept out of the originals
        record = {"record_id": original["record_id"], "view": 1, "source": f"{original['record_id']}#0"}
        copies.append({**view, **record, "kind": "second_view"})
    return originals, copies


def _copy(original: dict, kind: str, limits: Limits, draw: random.Random) -> dict:
    picture = Image.open(io.BytesIO(original["image"]["bytes"])).convert("RGB")
    out = io.BytesIO()
    KINDS[kind](picture, draw).save(out, "JPEG", quality=88)
    data = out.getvalue()
    record_id = original["record_id"].replace("/original/", "/copy/")
    return _row(
        record_id, 0, hashlib.sha256(data).hexdigest(), verify(data, limits), kind, f"{original['record_id']}#0"
    )


def _row(record_id: str, view: int, image_id: str, picture, kind: str, source: str) -> dict:
    return {
        "record_id": record_id,
        "view": view,
        "image_id": image_id,
        "image": {"bytes": picture.jpeg, "path": f"{image_id}.jpg"},
        "width": picture.width,
        "height": picture.height,
        "source_url": record_id,
        "perceptual_hash": picture.perceptual_hash,
        "miniature": picture.miniature,
        "kind": kind,
        "source": source,
    }


def drawn_objects() -> dict[str, str]:
    """The object that every original of the rendered museum shows; its views and copies show the same one."""
    objects = {}
    for holding in holdings(RENDERED_SEED, RENDERED):
        file = record_id_of(holding).strip("/").replace("/", "_")
        objects[f"/original/{file}#0"] = f"{holding.kind.shape} {holding.thing.seed}"
    return objects


def rows(planted: list[dict]) -> pa.Table:
    """The planted rows as the `images` table."""
    columns = IMAGES.schema.names
    return pa.Table.from_pylist([{name: row[name] for name in columns} for row in planted], schema=IMAGES.schema)


def outcome(
    museum: str,
    extractor: str,
    before: pl.DataFrame,
    after: pl.DataFrame,
    copies: list[dict],
    objects: dict[str, str] | None,
    seconds: float,
) -> dict:
    """The result line."""
    group = dict(zip(_names(after), after["group_id"], strict=True))
    hits = {
        kind: [
            group[f"{copy['record_id']}#{copy['view']}"] == group[copy["source"]]
            for copy in copies
            if copy["kind"] == kind
        ]
        for kind in [*KINDS, "second_view"]
    }
    earlier = objects or dict(zip(_names(before), before["group_id"], strict=True))
    true_group = {**earlier, **{f"{copy['record_id']}#{copy['view']}": earlier[copy["source"]] for copy in copies}}
    false = _falsely_joined(after, true_group)
    every = [hit for of_kind in hits.values() for hit in of_kind]
    own = before.filter(pl.col("reason") == "near_duplicate").height
    shares = ", ".join(f"{kind} {sum(of_kind) / len(of_kind):.3f}" for kind, of_kind in hits.items())
    return {
        "name": "near_duplicates",
        "n": after.height,
        "ours_s": round(seconds, 2),
        "peer": None,
        "peer_version": None,
        "peer_s": None,
        "ratio": None,
        "ours_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peer_rss_mb": None,
        "found": round(sum(every) / len(every), 4),
        "false_joins": round(len(false) / after.height, 4),
        "note": (
            f"{museum}, {extractor}: {len(copies)} planted copies, found {sum(every) / len(every):.4f} ({shares}); "
            f"falsely joined {len(false)} of {after.height} images; the museum's own near-duplicates: {own} images "
            f"in {before.filter(pl.col('reason') == 'near_duplicate')['group_id'].n_unique()} groups"
        ),
    }


def _falsely_joined(after: pl.DataFrame, true_group: dict[str, str]) -> list[str]:
    """Images in a group whose most common true group is not theirs."""
    named = after.with_columns(name=pl.Series(_names(after)))
    false: list[str] = []
    for members in named.filter(pl.len().over("group_id") > 1).partition_by("group_id", maintain_order=True):
        groups = [true_group[name] for name in members["name"]]
        most = max(sorted(set(groups)), key=groups.count)
        false += [name for name, group in zip(members["name"], groups, strict=True) if group != most]
    return false


def _names(groups: pl.DataFrame) -> list[str]:
    return [f"{record_id}#{view}" for record_id, view in groups.select("record_id", "view").iter_rows()]


if __name__ == "__main__":
    main()
