"""The published CSV sample through the evaluation: a label prior of rows 1 to 200, scored on rows 201 to 400.

The second path reads the CSV itself and counts with plain Python; it shares no code with the first.
"""

import csv
import hashlib
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assets.cli.app import app
from ml.dataset.ground_truth import EvaluationError, load_truth
from ml.dataset.open import load_dataset
from pipeline import FACETS
from tests.ml.scored import write_prior_predictions

FILES = ("train.csv", "test_id.csv")
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
    """The sample as two published files: the first 200 rows in training, the others in the inner test."""
    with (shared / "eufcc" / "inner_test_sample.csv").open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    folder = tmp_path_factory.mktemp("sample")
    for name, part in (("train.csv", rows[:TRAIN_ROWS]), ("test_id.csv", rows[TRAIN_ROWS:])):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([header, *part])
    return folder


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
    command = ["evaluate", str(tmp_path / "label_prior"), "--release", str(sample_dataset), "--out", str(out)]
    told = CliRunner().invoke(app, command, catch_exceptions=False)
    assert told.exit_code == 0
    result = json.loads(out.read_text())
    hashes = [f"{name} {hashlib.sha256((sample_dataset / name).read_bytes()).hexdigest()}\n" for name in FILES]
    assert result["split_hash"] == hashlib.sha256("".join(hashes).encode()).hexdigest()
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


def test_tags_keep_their_tree_and_rows_of_one_picture_are_a_group(sample_dataset: Path, shared: Path):
    loaded = load_dataset(sample_dataset)
    tags = loaded.facets["materials"]
    wood = tags.position["material vegetal | fusta"]
    assert tags.labels[wood] == "fusta"
    assert tags.tag_ids[tags.parents[wood]] == "material vegetal"
    assert set(loaded.facets["classifications"].parents) == {-1}
    truth = load_truth(loaded, "inner_test")
    with (sample_dataset / "test_id.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert truth.images["record_id"].to_list() == sorted(row["idInSource"] for row in rows)
    assert len(set(truth.groups.tolist())) == len({row["#portraitMedia.original"] for row in rows})


def test_a_folder_without_training_rows_or_without_the_split_is_one_sentence(sample_dataset: Path, tmp_path: Path):
    (tmp_path / "test_id.csv").write_bytes((sample_dataset / "test_id.csv").read_bytes())
    with pytest.raises(EvaluationError, match=r"has no train\.csv with tags"):
        load_dataset(tmp_path)
    with pytest.raises(EvaluationError, match=r"has no test_ood\.csv"):
        load_truth(load_dataset(sample_dataset), "outer_test")
