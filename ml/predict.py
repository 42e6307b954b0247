"""Scores of every image of a split, and the files they are kept in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from ml.baselines import Recipe
from ml.checkpoints import whole
from ml.data import Images, ImageSplit, every_image_once, loader, on_device
from ml.network import Network
from ml.optimization import autocast, memory_explained
from ml.place import Place
from ml.tags import TagList

Scores = dict[str, NDArray[np.float32]]


class PredictionError(ValueError):
    """A prediction file is missing, damaged or of another dataset."""


@torch.inference_mode()
def predict(model: Network, images: Images, recipe: Recipe, place: Place) -> Scores:
    """Natural log of every tag's probability, images x tags per facet, on every rank; each image is seen once."""
    model.eval()
    draws = every_image_once(len(images.split), place.rank, place.world)
    batches = loader(images, draws, batch=recipe.eval_batch, workers=recipe.workers, pin=place.cuda)
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for batch in batches:
        with memory_explained(recipe, place), autocast(recipe, place):
            moved = on_device(batch, place.device, recipe)
            scores = model.log_scores(model(moved))
        for facet, values in scores.items():
            parts.setdefault(facet, []).append(values.float().cpu().numpy())
    own = {facet: np.concatenate(values) for facet, values in parts.items()}
    everyone: list[Any] = place.gathered((own, [draw.image for draw in draws]))
    return {
        facet: _in_order([(scores[facet], rows) for scores, rows in everyone if rows], len(images.split), len(tags))
        for facet, tags in images.tag_list.facets.items()
    }


def _in_order(parts: list[tuple[NDArray[np.float32], list[int]]], n: int, n_tags: int) -> NDArray[np.float32]:
    whole_split = np.full((n, n_tags), np.nan, dtype=np.float32)
    for scores, rows in parts:
        whole_split[rows] = scores
    return whole_split


def r_precision(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Mean over annotated images of the share of relevant tags among the top R (paper); NaN when none is annotated.

    Ties go to the earlier tag: this one only chooses a checkpoint. The published figures are `ml.evaluation`'s.
    """
    annotated = relevant.any(1)
    if not annotated.any():
        return float("nan")
    scores, relevant = scores[annotated], relevant[annotated]
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    size = relevant.sum(1)
    top = np.arange(hits.shape[1])[None, :] < size[:, None]
    return float(((hits & top).sum(1) / size).mean())


def figures(scores: Scores, split: ImageSplit) -> dict[str, float]:
    """R-Precision per facet, and the unweighted `mean` over the facets that have annotated images."""
    values = {facet: r_precision(matrix, split.relevant(facet, matrix.shape[1])) for facet, matrix in scores.items()}
    known = [value for value in values.values() if value == value]
    return values | {"mean": float(np.mean(known)) if known else 0.0}


def write_predictions(
    scores: Scores, split: ImageSplit, tag_list: TagList, folder: Path, *, baseline: str, seed: int
) -> None:
    """`<folder>/<split>/<facet>.parquet`: record_id, view, scores (float16, in tag-list order), by record and view.

    Scores are natural logs of probabilities, because float16 keeps them apart where probabilities near 0 are equal.
    """
    for facet, matrix in scores.items():
        table = pa.table(
            {
                "record_id": pa.array(split.record_ids, pa.string()),
                "view": pa.array(split.views, pa.int16()),
                "scores": fixed_size_lists(matrix),
            }
        ).replace_schema_metadata(
            {
                "baseline": baseline,
                "seed": str(seed),
                "split_hash": tag_list.split_hash,
                "tag_list_hash": tag_list.tag_list_hash,
                "scores": "log_probability",
            }
        )
        with whole(folder / split.name / f"{facet}.parquet") as temporary:
            pq.write_table(table, temporary, compression="zstd", row_group_size=10_000)


def fixed_size_lists(matrix: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """Rows of a matrix as float16 lists; what float16 cannot hold becomes its nearest finite value."""
    limit = float(np.finfo(np.float16).max)
    values = np.clip(matrix, -limit, limit).astype(np.float16).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float16()), matrix.shape[1])


def read_predictions(folder: Path, split: ImageSplit, tag_list: TagList) -> Scores:
    """The scores a row wrote for this split. Raises PredictionError for missing files or another dataset's."""
    found: Scores = {}
    for facet, tags in tag_list.facets.items():
        file = folder / split.name / f"{facet}.parquet"
        if not file.exists():
            continue
        try:
            table = pq.read_table(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise PredictionError(f"{file} is damaged ({error}): predict with {folder.name} again.") from error
        _check(table.schema.metadata or {}, file, tag_list)
        if tuple(table["record_id"].to_pylist()) != split.record_ids:
            raise PredictionError(f"{file} is not about this split's images: predict with {folder.name} again.")
        flat = table["scores"].combine_chunks().flatten().to_numpy()
        found[facet] = flat.reshape(len(split), len(tags)).astype(np.float32)
    if not found:
        raise PredictionError(f"There are no predictions in {folder / split.name}: train {folder.name} first.")
    return found


def _check(metadata: Mapping[bytes, bytes], file: Path, tag_list: TagList) -> None:
    for name, now in (("tag_list_hash", tag_list.tag_list_hash), ("split_hash", tag_list.split_hash)):
        then = metadata.get(name.encode(), b"").decode()
        if then != now:
            raise PredictionError(f"{file} has {name} {then[:12]}, the dataset {now[:12]}: predict again.")
