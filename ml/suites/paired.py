"""Two rows of the suites compared over splits: `python -m ml.suites.paired --storage STORAGE --seeds 340 341 …`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import stats

from ml.suites.collection import Collection, collect
from ml.suites.run import run_suites
from ml.suites.summary import means_by_split
from pipeline.settings import SUITES, EvaluationSettings, SuiteSettings
from pipeline.tables import IMAGES

REFERENCES = ("constant", "label_prior", "ridge", "ceiling")  # by which a split tells or not
ASKED = ("leave_one_provider_out", "few_labels", "new_tags")


class Difference(NamedTuple):
    """A row minus another: means over the splits that both rank and that tell; a t interval over the splits.

    The p-value is one-sided: that the row is not better. NaN with fewer than two splits.
    """

    value: float
    other: float
    low: float
    high: float
    p_superior: float
    splits: int


def difference(means: pl.DataFrame, suite: str, row: str, other: str, confidence: float) -> Difference | None:
    """The paired difference on a suite, from rows of `means_by_split`; None where the two share no split."""
    of_rows = means.filter(pl.col("baseline").is_in([row, other]), suite=suite).drop_nulls("value")
    if of_rows["baseline"].n_unique() < 2:
        return None
    pairs = of_rows.pivot(on="baseline", index="split", values="value").drop_nulls()
    if pairs.is_empty():
        return None
    ours, theirs = pairs[row].to_numpy(), pairs[other].to_numpy()
    n, low, high, p = len(ours), np.nan, np.nan, np.nan
    mean, error = float((ours - theirs).mean()), 0.0
    if n > 1:
        error = float((ours - theirs).std(ddof=1) / np.sqrt(n))
        half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
        low, high = mean - half, mean + half
        p = float(stats.t.sf(mean / error, n - 1)) if error else float(mean <= 0)
    return Difference(float(ours.mean()), float(theirs.mean()), low, high, p, n)


def read_collection(storage: Path) -> Collection:
    """The collection of a storage folder."""
    groups, records, record_tags, tags = (
        pl.read_parquet(storage / f"{name}.parquet") for name in ("groups", "records", "record_tags", "tags")
    )
    images = IMAGES.read(storage / "images", ["record_id", "view", "image_id"])
    return collect(images, groups, records, record_tags, tags, storage / "features")


def over_seeds(
    collection: Collection, rows: Sequence[str], seeds: Sequence[int], kept: Path, settings: EvaluationSettings
) -> Iterator[pl.DataFrame]:
    """`means_by_split` for every seed of the suites, splits named after their seed where the seed draws them."""
    suites = {name: SUITES[name] for name in ASKED}
    for seed in seeds:
        chosen = SuiteSettings(seed=seed, suites=suites, rows=(*REFERENCES, *rows))
        results = run_suites(collection, chosen, kept / str(seed))
        drawn = pl.col("suite") != "leave_one_provider_out"
        named = pl.when(drawn).then(pl.format("{}, {}", pl.lit(seed), "split")).otherwise("split")
        yield means_by_split(results, settings).with_columns(split=named)


def main() -> None:
    """Print a table: each suite, the row against each other one, over the splits of all seeds.

    Providers are the same for every seed: a provider counts once, with the mean of the seeds.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--kept", type=Path, required=True, help="where finished cells are kept")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--row", required=True)
    parser.add_argument("--against", nargs="+", required=True)
    given = parser.parse_args()
    settings, rows = EvaluationSettings(), (given.row, *given.against)
    collection = read_collection(given.storage)
    means = pl.concat(over_seeds(collection, rows, given.seeds, given.kept, settings))
    asked = means.filter(~pl.col("split").str.contains(r", (0|20) images"))
    averaged = (
        asked.group_by("suite", "split", "baseline").agg(pl.col("value").mean()).sort("suite", "split", "baseline")
    )
    print("| suite | against | row | other | difference (95 %) | p better | splits |\n|---|---|---|---|---|---|---|")
    for suite in ASKED:
        for other in given.against:
            if found := difference(averaged, suite, given.row, other, settings.confidence):
                sure = f"{found.value - found.other:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
                cells = f"{found.value:.3f} | {found.other:.3f} | {sure} | {found.p_superior:.4f} | {found.splits}"
                print(f"| {suite} | {other} | {cells} |")


if __name__ == "__main__":
    main()
