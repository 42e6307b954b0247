"""Every distinct image described by a network: the `features` table in shards, each written whole or not at all.

`torchrun --nproc-per-node N -m ml.features …` shares the shards among N processes, one GPU each.
"""

import argparse
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate

from ml.features.extractors import EXTRACTORS, Extractor
from pipeline.files import remove_left_overs
from pipeline.parquet import write_parquet
from pipeline.tables import features_table
from pipeline.waits import Progress

if TYPE_CHECKING:
    from pipeline.settings import FeatureSettings

ROWS_PER_GROUP = 2_000


class FeaturesError(RuntimeError):
    """Features that cannot be extracted; the message says why."""


def extract_features(
    images_folder: Path,
    folder: Path,
    settings: "FeatureSettings",
    *,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Describe every distinct image of the shards in `images_folder` by every extractor of the settings.

    The first extractor's table goes to `folder`, a further one's to `folder_of(folder, settings, name)`. Shard by
    shard: one that is there with the same images and the same recipe is left as it is, and an image that any of the
    shards there describes by the same recipe keeps its vector. On the same machine equal images give equal bytes.
    `progress(done, of)` is called after every shard. Returns how many vectors there are (`rows`) and how many of them
    were made in this call (`recomputed`), over this process's share. Raises FeaturesError, WeightsError.
    """
    counts = {"rows": 0, "recomputed": 0}
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    shards = sorted(images_folder.glob("part-*.parquet"))
    if not shards:
        raise FeaturesError(f"There are no image shards in {images_folder}; fetch images first.")
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu")
    for name in settings.extractors:
        if name not in EXTRACTORS:
            raise FeaturesError(f"There is no extractor `{name}`; there are {', '.join(EXTRACTORS)}.")
        extractor = EXTRACTORS[name]
        target = folder_of(folder, settings, name)
        parts = list(zip(shards, _first_seen(shards), strict=True))
        work = [part for number, part in enumerate(parts) if number % world == rank]
        counts["rows"] += sum(len(image_ids) for _, image_ids in work)
        counts["recomputed"] += _extract(work, target, extractor, settings, device, progress)
        if rank == 0:
            for file in set(target.glob("part-*.parquet")) - {target / shard.name for shard in shards}:
                file.unlink()
    return counts


def folder_of(folder: Path, settings: "FeatureSettings", name: str) -> Path:
    """Where an extractor's table is: `folder` for the first of the settings, `<folder>-<name>` for the others."""
    return folder if name == settings.extractors[0] else folder.with_name(f"{folder.name}-{name}")


def _first_seen(shards: Sequence[Path]) -> Iterator[list[str]]:
    """For each shard the image ids that no earlier one has, sorted."""
    seen: set[str] = set()
    for shard in shards:
        ids = set(pq.read_table(shard, columns=["image_id"])["image_id"].to_pylist()) - seen
        seen |= ids
        yield sorted(ids)


def _extract(
    work: Sequence[tuple[Path, list[str]]],
    target: Path,
    extractor: Extractor,
    settings: "FeatureSettings",
    device: torch.device,
    progress: Progress | None,
) -> int:
    """Bring the shards up to date; returns how many images were described."""
    recipe, count = recipe_of(extractor, settings), 0
    network: nn.Module | None = None  # built when a shard needs it
    known: dict[str, np.ndarray] | None = None  # read when a shard needs it, before any is written
    remove_left_overs(target, {shard.name for shard, _ in work})
    for done, (shard, image_ids) in enumerate(work, start=1):
        content = hashlib.sha256(json.dumps([recipe, image_ids]).encode()).hexdigest()
        if _stored(target / shard.name, "content") != content:
            known = _known_vectors(target, recipe) if known is None else known
            new = [image_id for image_id in image_ids if image_id not in known]
            if new:
                network = network or extractor.build(settings.weights).eval().requires_grad_(False).to(device)
                known |= zip(new, describe(_images(shard, new), network, extractor, settings, device), strict=True)
            empty = np.zeros((0, extractor.dimensions), np.float16)
            vectors = np.stack([known[image_id] for image_id in image_ids]) if image_ids else empty
            _write(target / shard.name, image_ids, vectors, extractor, {"content": content, "recipe": recipe})
            count += len(new)
        if progress is not None:
            progress(done, len(work))
    return count


def _known_vectors(target: Path, recipe: str) -> dict[str, np.ndarray]:
    """The vectors that the shards already hold, as far as they were made by the same recipe."""
    known: dict[str, np.ndarray] = {}
    for file in sorted(target.glob("part-*.parquet")):
        if _stored(file, "recipe") == recipe:
            table = pq.read_table(file, columns=["image_id", "vector"])
            flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            known |= zip(table["image_id"].to_pylist(), flat.reshape(len(table), -1), strict=True) if len(table) else {}
    return known


def _images(shard: Path, image_ids: Sequence[str]) -> list[bytes]:
    """The encoded images with these ids, in their order."""
    table = pq.read_table(shard, columns=["image_id", "image"])
    row_of = {image_id: row for row, image_id in enumerate(table["image_id"].to_pylist())}
    images = table["image"].combine_chunks().field("bytes")
    return [images[row_of[image_id]].as_py() for image_id in image_ids]


def describe(
    images: Sequence[bytes], network: nn.Module, extractor: Extractor, settings: "FeatureSettings", device: torch.device
) -> np.ndarray:
    """The vectors of encoded images, float16 [n, dimensions]; decoding runs beside the network.

    The last batch is filled up, so that an image's vector does not depend on how many others are described with it.
    Raises FeaturesError when a vector is not finite in float16.
    """
    size = settings.image_size or extractor.image_size
    batches = [images[start : start + settings.batch_size] for start in range(0, len(images), settings.batch_size)]
    bf16 = torch.autocast(device.type, torch.bfloat16) if settings.precision == "bf16" else nullcontext()
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1).to(device) for values in (extractor.input.mean, extractor.input.std)
    )
    vectors = []
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster with bf16 or AVX
    with ThreadPoolExecutor(max(1, min(16, os.cpu_count() or 1))) as threads, torch.inference_mode():
        shown = partial(resized, size=size, interpolation=extractor.input.interpolation)
        decoded = [threads.map(shown, batch) for batch in batches[:1]]
        for number in range(len(batches)):
            following = batches[number + 1 : number + 2]
            decoded += [threads.map(shown, batch) for batch in following]
            pixels = torch.stack(list(decoded.pop(0))).to(device, non_blocking=True)
            count = len(pixels)
            pixels = torch.cat(
                [(pixels - mean) / std, pixels.new_zeros(settings.batch_size - count, *pixels.shape[1:])]
            )
            with bf16:
                batch_vectors = network(pixels.contiguous(memory_format=torch.channels_last))[:count]
            vectors.append(batch_vectors.float().cpu().numpy().astype(np.float16))
    result = np.concatenate(vectors) if vectors else np.zeros((0, extractor.dimensions), np.float16)
    if not np.isfinite(result).all():
        raise FeaturesError(f"The extractor `{extractor.name}` gave a value beyond float16; use another precision.")
    return result


def resized(data: bytes, size: int, interpolation: str = "bicubic") -> torch.Tensor:
    """An encoded image as float32 [3, size, size] in [0, 1]: antialiased, without rounding in between.

    The whole image whatever its shape, as FID does: what its publisher would cut off may tell near-duplicates apart.

    Aliased resizing shifts Fréchet distances (Parmar et al. 2022, "On Aliased Resizing", section 3).
    """
    with Image.open(io.BytesIO(data)) as picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGB")))
    planes = pixels.permute(2, 0, 1).unsqueeze(0).float() / 255
    return interpolate(planes, (size, size), mode=interpolation, antialias=True, align_corners=False)[0].clamp_(0, 1)


def recipe_of(extractor: Extractor, settings: "FeatureSettings") -> str:
    """A hash of what decides the vector of an image."""
    recipe = {"extractor": extractor.name, "image_size": settings.image_size or extractor.image_size, "version": 2}
    if extractor.input.interpolation != "bicubic":  # as all were resized before: their vectors stay valid
        recipe["interpolation"] = extractor.input.interpolation
    recipe |= settings.model_dump(include={"precision", "batch_size"})
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _stored(file: Path, name: str) -> str | None:
    """An entry of a shard's own notes; None when there is no readable shard."""
    try:
        metadata = pq.read_schema(file).metadata or {}
    except (FileNotFoundError, pa.ArrowInvalid):  # not there, or damaged: written again
        return None
    return metadata.get(name.encode(), b"").decode()


def _write(
    file: Path, image_ids: Sequence[str], vectors: np.ndarray, extractor: Extractor, notes: dict[str, str]
) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float16()), extractor.dimensions)
    names = [extractor.name] * len(image_ids)
    columns = [pa.array(image_ids, pa.string()), pa.array(names, pa.string()), lists]
    conformed = features_table(extractor.dimensions).conform(pa.table(columns, ["image_id", "extractor", "vector"]))
    metadata = {**notes, "meaning": extractor.meaning, "licence": extractor.licence}
    write_parquet(conformed.replace_schema_metadata(metadata), file, row_group_size=ROWS_PER_GROUP)


def main() -> None:
    """The command line, for `torchrun`."""
    from pipeline.settings import FeatureSettings

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--extractor", dest="extractors", action="append", required=True, choices=list(EXTRACTORS))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    given = vars(parser.parse_args())
    extract_features(given.pop("images"), given.pop("features"), FeatureSettings(**given))
