"""The published CSV sample through the evaluation: a label prior of rows 1 to 200, scored on rows 201 to 400.

The second path reads the CSV itself and counts with plain Python; it shares no code with the first.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from ml.evaluation.reference import write_prior_predictions
from ml.evaluation.submission import evaluate_submission
from pipeline import FACETS
from pipeline.release.folder import write_dataset
from pipeline.release.published import published_tags, read_published
from pipeline.settings import EvaluationSettings
from pipeline.tables import IMAGES, RECORD_TAGS, RECORDS, SPLIT_TABLE, SPLIT_TAGS, TAGS

COLUMNS = {
    "object_types": "objectTypes.hierarchy",
    "materials": "materials.hierarchy",
    "classifications": "classifications.hierarchy",
    "subjects": "subjects.hierarchy",
}
TRAIN_ROWS = 200
pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def sample_dataset(shared: Path, tmp_path_factory) -> Path:
    """The sample's rows as a dataset folder: the first 200 in training, the others in the inner test."""
    read = read_published({"test_id": shared / "eufcc" / "inner_test_sample.csv"})
    keys = {row: f"/sample/{row:03d}" for row in read.rows["row"]}
    tags = published_tags(read).with_columns(
        record_id=pl.col("row").replace_strict(keys), tag_id=pl.col("path").list.join(" | ")
    )
    record_tags = tags.select("record_id", "facet", tag_id=pl.col("facet") + ": " + pl.col("tag_id"), stated="stated")
    known = tags.select("facet", "path", tag_id=pl.col("facet") + ": " + pl.col("tag_id")).unique(
        "tag_id", keep="first", maintain_order=True
    )
    split_of = {key: "train" if row <= TRAIN_ROWS else "inner_test" for row, key in keys.items()}
    counted = record_tags.with_columns(split=pl.col("record_id").replace_strict(split_of))
    train = dict(counted.filter(split="train").group_by("tag_id").len().iter_rows())
    folder = tmp_path_factory.mktemp("sample")
    IMAGES.write(IMAGES.frame([_image(key) for key in keys.values()]), folder / "images" / "part-00000.parquet")
    write_dataset(
        folder / "images",
        RECORDS.frame([{"record_id": key, "data_provider": "one"} for key in keys.values()]),
        RECORD_TAGS.frame(record_tags.to_dicts()),
        TAGS.frame([_tag(facet, path, tag_id) for facet, path, tag_id in known.iter_rows()]),
        SPLIT_TABLE.frame([{"record_id": k, "view": 0, "split": s, "group_id": k} for k, s in split_of.items()]),
        SPLIT_TAGS.frame(
            [
                {"tag_id": tag_id, "facet": facet, "train": train.get(tag_id, 0), "scored": tag_id in train}
                for facet, _, tag_id in known.iter_rows()
            ]
        ),
        folder / "dataset",
    )
    return folder / "dataset"


def _tag(facet: str, path: list[str], tag_id: str) -> dict[str, object]:
    flat = facet == "classifications"
    parent = None if flat or len(path) == 1 else f"{facet}: {' | '.join(path[:-1])}"
    return {"tag_id": tag_id, "facet": facet, "parent": parent, "depth": 1 if flat else len(path), "path": [tag_id]}


def _image(record_id: str) -> dict[str, object]:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    image_id = hashlib.sha256(record_id.encode()).hexdigest()
    return {"record_id": record_id, "view": 0, "image_id": image_id, "image": {"bytes": buffer.getvalue()}}


def slow_tags(cell: str, facet: str) -> set[tuple[str, ...]]:
    """A cell's tags closed upwards, each keyed by its path; the levels of classifications are tags side by side."""
    found = set()
    for text in cell.split(" $ ") if cell else []:
        levels = text.split(" | ")
        for depth in range(1, len(levels) + 1):
            found.add((levels[depth - 1],) if facet == "classifications" else tuple(levels[:depth]))
    return found


def slow_figures(file: Path, facet: str) -> dict[str, Fraction | int]:
    with file.open(newline="", encoding="utf-8") as stream:
        rows = [slow_tags(row[COLUMNS[facet]], facet) for row in csv.DictReader(stream)]
    counts = Counter(tag for row in rows[:TRAIN_ROWS] for tag in row)
    sums = {
        "r_precision": Fraction(0),
        "acc_at_1": Fraction(0),
        "acc_at_10": Fraction(0),
        "avg_rank_position": Fraction(0),
    }
    n = 0
    for row in rows[TRAIN_ROWS:]:
        relevant = [tag for tag in row if tag in counts]
        if not relevant:
            continue
        n += 1
        places = {}
        for tag in relevant:
            larger = sum(1 for other in counts.values() if other > counts[tag])
            equal = sum(1 for other in counts.values() if other == counts[tag])
            places[tag] = (larger, equal)
        size = len(relevant)
        sums["r_precision"] += sum(chance(*places[t], size) for t in relevant) / size
        sums["avg_rank_position"] += (
            sum(Fraction(2 * larger + equal + 1, 2) for larger, equal in places.values()) / size
        )
        for k in (1, 10):
            sums[f"acc_at_{k}"] += any_in_top(list(places.values()), k)
    return {metric: total / n for metric, total in sums.items()} | {"n": n}


def chance(larger: int, equal: int, k: int) -> Fraction:
    return min(Fraction(1), max(Fraction(0), Fraction(k - larger, equal)))


def any_in_top(places: list[tuple[int, int]], k: int) -> Fraction:
    """One minus the chance that every tied place in the top k goes to another tag, place by place."""
    if any(larger + equal <= k for larger, equal in places):
        return Fraction(1)
    straddling = [(larger, equal) for larger, equal in places if larger < k]
    if not straddling:
        return Fraction(0)
    larger, equal = straddling[0]
    others, left, miss = equal - len(straddling), equal, Fraction(1)
    for _ in range(k - larger):
        miss *= Fraction(max(0, others), left)
        others, left = others - 1, left - 1
    return 1 - miss


def test_the_label_prior_of_the_sample_equals_a_slow_count(sample_dataset: Path, shared: Path, tmp_path: Path):
    write_prior_predictions(sample_dataset, tmp_path / "label_prior", ("inner_test",))
    out = tmp_path / "results.json"
    evaluate_submission(tmp_path / "label_prior", sample_dataset, out, EvaluationSettings(resamples=100))
    result = json.loads(out.read_text())
    tag_list = json.loads((sample_dataset / "tag_list.json").read_text())
    assert (result["split_hash"], result["tag_list_hash"]) == (tag_list["split_hash"], tag_list["tag_list_hash"])
    found = {(row["facet"], row["metric"]): row for row in result["results"] if row["policy"] == "ignore_unseen"}
    means = {"r_precision": [], "acc_at_1": [], "acc_at_10": [], "avg_rank_position": []}
    for facet in FACETS:
        expected = slow_figures(shared / "eufcc" / "inner_test_sample.csv", facet)
        for metric, values in means.items():
            row = found[facet, metric]
            assert row["value"] == pytest.approx(float(expected[metric]), rel=5e-6), (facet, metric)
            assert row["n"] == expected["n"]
            values.append(float(expected[metric]))
    for metric, values in means.items():
        assert found["mean", metric]["value"] == pytest.approx(sum(values) / 4, rel=5e-6)
