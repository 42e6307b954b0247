"""Answers in words become predictions that score as they should; what cannot be read is one sentence."""

import json
from pathlib import Path

import polars as pl
import pytest

from ml.dataset.ground_truth import EvaluationError
from ml.dataset.open import load_dataset
from ml.evaluation.answers import predictions_of
from ml.evaluation.evaluate import evaluate
from pipeline.settings import EvaluationSettings

FAST = EvaluationSettings(resamples=50)
FACET = "object_types"


def lines_of(dataset: Path, name_of: dict[str, str], split: str = "inner_test") -> list[dict]:
    """For each image and facet the tags that are right, named by `name_of`."""
    images = pl.read_parquet(dataset / split / "part-00000.parquet")
    facets = [facet for facet, tags in load_dataset(dataset).facets.items() if len(tags)]
    return [
        {
            "record_id": row["record_id"],
            "view": row["view"],
            "facet": facet,
            "tags": [name_of[tag] for tag in row[facet] if tag in name_of],
        }
        for row in images.iter_rows(named=True)
        for facet in facets
    ]


def names(dataset: Path) -> dict[str, str]:
    """By tag id its English label where that is its own, else the id."""
    found: dict[str, str] = {}
    for tags in load_dataset(dataset).facets.values():
        for tag_id, label in zip(tags.tag_ids, tags.labels, strict=True):
            found[tag_id] = f"  {label.upper()} (thing)" if tags.labels.count(label) == 1 else tag_id
    return found


def write(lines: list[dict], file: Path) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def r_precision(folder: Path, dataset: Path) -> float:
    rows = evaluate(folder, dataset, settings=FAST)
    wanted = {"split": "inner_test", "facet": "mean", "metric": "r_precision", "policy": "ignore_unseen"}
    return next(row["value"] for row in rows if row.items() >= wanted.items())


def test_right_answers_score_1_and_unknown_ones_are_counted(dataset: Path, tmp_path: Path):
    lines = lines_of(dataset, names(dataset))
    counts = predictions_of(write(lines, tmp_path / "a.jsonl"), dataset, tmp_path / "right")
    assert (counts.unknown.total(), counts.unanswered) == (0, 0)
    assert r_precision(tmp_path / "right", dataset) == 1.0

    for line in lines:
        line["tags"] = ["unobtainium", *line["tags"]]
    dropped = write(lines[1:], tmp_path / "b.jsonl")
    counts = predictions_of(dropped, dataset, tmp_path / "unknown")
    assert counts.unknown == {"unobtainium": len(lines) - 1}
    assert counts.unanswered == 1
    assert 0.9 < r_precision(tmp_path / "unknown", dataset) < 1.0


def test_an_order_counts_and_a_named_tag_brings_those_above_it(dataset: Path, tmp_path: Path):
    lines, tags = lines_of(dataset, names(dataset)), load_dataset(dataset).facets[FACET]
    deepest = max(range(len(tags)), key=lambda tag: len(tags.paths[tag]))
    assert len(tags.paths[deepest]) > 1
    one = next(line for line in lines if line["facet"] == FACET)
    other = next(tag for tag in range(len(tags)) if tag not in tags.paths[deepest])
    answer = one | {"tags": [tags.tag_ids[deepest], tags.tag_ids[other]]}
    predictions_of(write([answer], tmp_path / "a.jsonl"), dataset, tmp_path / "p")
    scores = pl.read_parquet(tmp_path / "p" / "inner_test" / f"{FACET}.parquet")
    given = scores.filter(record_id=one["record_id"], view=one["view"])["scores"][0].to_list()
    order = sorted(range(len(tags)), key=lambda tag: -given[tag])
    wanted = [*tags.paths[deepest], *(tag for tag in tags.paths[other] if tag not in tags.paths[deepest])]
    assert order[: len(wanted)] == wanted
    assert {given[tag] for tag in order[len(wanted) :]} <= {-1000.0}


def test_a_text_may_hold_what_other_formats_end_a_line_with(dataset: Path, tmp_path: Path):
    """JSON allows U+2028, U+2029 and U+0085 in texts as they are; a carriage return before a line feed is space."""
    line = next(line for line in lines_of(dataset, names(dataset)) if line["facet"] == FACET)
    line["tags"] = ["un\u2028obtain\u2029ium\x85"]
    file = tmp_path / "a.jsonl"
    file.write_bytes(json.dumps(line, ensure_ascii=False).encode() + b"\r\n\r\n")
    counts = predictions_of(file, dataset, tmp_path / "p")
    assert counts.unknown == {"un\u2028obtain\u2029ium\x85": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facet": "colours"}, "Line 1: no facet `colours`; there are object_types"),
        ({"record_id": "/no/where"}, "Line 1: /no/where view 0 is not in inner_test"),
        ({"tags": "oak"}, "line 1: tags: Input should be a valid list"),
        ({"tag": []}, "line 1: tag: Extra inputs are not permitted"),
    ],
    ids=["facet", "image", "type", "field"],
)
def test_a_wrong_line_is_one_sentence(change: dict, message: str, dataset: Path, tmp_path: Path):
    line = {**lines_of(dataset, {})[0], "view": 0} | change
    with pytest.raises(EvaluationError) as error:
        predictions_of(write([line], tmp_path / "a.jsonl"), dataset, tmp_path / "p")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "p").exists()


def test_a_second_answer_and_a_line_that_is_no_json_are_refused(dataset: Path, tmp_path: Path):
    line = lines_of(dataset, {})[0]
    with pytest.raises(EvaluationError, match="Line 2: a second answer"):
        predictions_of(write([line, line], tmp_path / "a.jsonl"), dataset, tmp_path / "p")
    for text in ("The picture shows a table.", "[" * 100_000):
        (tmp_path / "b.jsonl").write_text(f"{text}\n", encoding="utf-8")
        with pytest.raises(EvaluationError, match=r"line 1, is no JSON"):
            predictions_of(tmp_path / "b.jsonl", dataset, tmp_path / "p")
