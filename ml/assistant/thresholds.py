"""The score per facet from which a model is sure, fixed on the validation images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

SURE_PRECISION = 0.8  # ours: the share of right tags among those at or above the threshold


@dataclass(frozen=True)
class Truth:
    """A split's images by record and view, and their tags: images x tags per facet."""

    keys: list[tuple[str, int]]
    relevant: dict[str, NDArray[np.bool_]]


def read_truth(dataset: Path, order: Mapping[str, list[str]], split: str = "validation") -> Truth:
    """The tags of a split's images, ancestors included."""
    files = sorted((dataset / split).glob("part-*.parquet"))
    if not files:
        return Truth([], {})
    names = ["record_id", "view", *order]
    table = pa.concat_tables([pq.read_table(file, columns=names).replace_schema_metadata(None) for file in files])
    table = table.sort_by([("record_id", "ascending"), ("view", "ascending")])
    keys = list(zip(table["record_id"].to_pylist(), table["view"].to_pylist(), strict=True))
    relevant = {}
    for facet, tags in order.items():
        rows = [set(row or ()) for row in table[facet].to_pylist()]
        relevant[facet] = np.array([[tag in row for tag in tags] for row in rows], dtype=bool).reshape(-1, len(tags))
    return Truth(keys, relevant)


def sure_from(folder: Path, truth: Truth, tag_list_hash: str, precision: float = SURE_PRECISION) -> dict[str, float]:
    """The threshold per facet, from the log-probabilities that a model predicted for validation.

    `folder` is `predictions/<baseline>/validation`. Files of other images or of another tag list are ignored.
    """
    thresholds: dict[str, float] = {}
    for facet, relevant in truth.relevant.items():
        file = folder / f"{facet}.parquet"
        if not file.exists():
            continue
        table = pq.read_table(file)
        written = (table.schema.metadata or {}).get(b"tag_list_hash", b"").decode()
        keys = list(zip(table["record_id"].to_pylist(), table["view"].to_pylist(), strict=True))
        if written != tag_list_hash or keys != truth.keys:
            continue
        scores = table["scores"].combine_chunks().flatten().to_numpy().astype(np.float32).reshape(relevant.shape)
        value = threshold(np.exp(scores), relevant, precision)
        if value is not None:
            thresholds[facet] = value
    return thresholds


def threshold(scores: NDArray[np.floating], relevant: NDArray[np.bool_], precision: float) -> float | None:
    """The lowest score with a share of right tags of at least `precision` among those at or above it.

    Scores and relevance are images x tags; images without tags are ignored. 1.0 if no score reaches the precision,
    None if no image has tags.
    """
    annotated = relevant.any(1)
    if not annotated.any():
        return None
    flat, right = scores[annotated].ravel(), relevant[annotated].ravel()
    order = np.argsort(-flat, kind="stable")
    flat, right = flat[order], right[order]
    share = np.cumsum(right) / np.arange(1, len(right) + 1)
    last_of_score = np.append(flat[1:] != flat[:-1], True)  # a threshold cannot separate equal scores
    good = np.flatnonzero((share >= precision) & last_of_score)
    return float(f"{flat[good[-1]]:.6g}") if len(good) else 1.0
