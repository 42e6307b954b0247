"""A run on published splits that leak: its storage with the mended splits beside it, for evaluation and report."""

from pathlib import Path

import polars as pl

from ml.dataset.ground_truth import load_truth
from ml.dataset.open import load_dataset
from ml.dataset.prediction_files import write_predictions
from ml.evaluation.informativeness import informativeness_rows
from ml.evaluation.paper_figures import paper_figures
from pipeline.published.mended import mend_splits, split_sizes
from pipeline.published.official import count_tags
from pipeline.release.folder import write_dataset
from pipeline.settings import SplitSettings
from pipeline.tables import FETCHES, RECORDS, TABLES
from tests.ml.scored import FAST, SKILL, random_scores, write_features

ROWS, MENDED_ROWS = ("softmax", "multilabel", "clip_zero_shot"), ("softmax", "multilabel")
LOST = 3  # rows of the inner test whose picture could not be had


def leaking(splits: pl.DataFrame) -> pl.DataFrame:
    """The splits of the small museum, each fourth image of the inner test grouped with one of the training."""
    kept = splits.filter(pl.col("split") != "left_out").with_columns(reason=pl.lit("published"))
    train, test = (kept.filter(split=split)["group_id"].to_list() for split in ("train", "inner_test"))
    same = {test[at]: train[at] for at in range(1, len(test), 4)}
    return kept.with_columns(pl.col("group_id").replace(same))


def write_published_storage(museum, folder: Path) -> None:
    """The storage of a run on these splits, with all that the report reads."""
    splits = leaking(museum.splits)
    groups = splits.select("record_id", "view", "group_id", reason=pl.lit("near_duplicate"))
    settings = SplitSettings()
    mended = mend_splits(splits, groups, museum.record_tags, museum.tags, settings)
    counted = count_tags(splits, museum.record_tags, museum.tags, settings)
    tables = (museum.images, museum.records, museum.record_tags, museum.tags)
    write_dataset(*tables, splits, counted, folder / "dataset")
    write_dataset(*tables, mended.splits, mended.split_tags, folder / "mended" / "dataset")
    lost = splits.filter(split="inner_test").head(LOST).with_columns(record_id=pl.format("lost_{}", "record_id"))
    addresses = lost["record_id"].to_list()
    gone = RECORDS.frame([{"record_id": name, "thumbnail_url": f"http://t/{name}"} for name in addresses])
    written = {
        "records": pl.concat([museum.records, gone]),
        "record_tags": museum.record_tags,
        "tags": museum.tags,
        "splits": splits,
        "split_tags": counted,
        "leaks": mended.leaks,
        "split_sizes": split_sizes(pl.concat([splits, lost]), splits, mended.splits),
    }
    for name, rows in written.items():
        TABLES[name].write(rows, folder / f"{name}.parquet")
    urls = museum.records["thumbnail_url"].to_list()
    ledger = [{"url": url, "state": "fetched", "attempts": 1} for url in urls]
    ledger += [
        {"url": f"http://t/{name}", "state": "rejected", "reason": "http_404", "attempts": 1} for name in addresses
    ]
    FETCHES.write(FETCHES.frame(ledger), folder / "fetches" / "part-00000.parquet")
    write_features(folder / "dataset", folder / "features")
    told = informativeness_rows(folder / "dataset", folder / "features", FAST)
    TABLES["informativeness"].write(told, folder / "informativeness.parquet")
    for place, rows in ((folder, ROWS), (folder / "mended", MENDED_ROWS)):
        for number, row in enumerate(rows):
            write_scores(place, row, number)
    figures = paper_figures(folder, FAST, ROWS, MENDED_ROWS)
    TABLES["paper_figures"].write(figures, folder / "paper_figures.parquet")


def write_scores(place: Path, row: str, seed: int) -> None:
    """Predictions of a row for both tests of the dataset at that place."""
    dataset = load_dataset(place / "dataset")
    for split in ("inner_test", "outer_test"):
        scores = random_scores(place / "dataset", split, seed, SKILL[row])
        truth, into = load_truth(dataset, split), place / "predictions" / row
        write_predictions(scores, truth, dataset, into, baseline=row, seed=1, logarithms=False)
