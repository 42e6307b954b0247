"""What distorted pictures cost: `python -m ml.evaluation.robustness --distorted FOLDER … --dataset … --rows …`.

`FOLDER` is what `python -m ml.registry.distorted` wrote, one for each seed of the training. Every figure is computed
from the predictions in it, for the same images distorted and not, seeds averaged for each image first.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ml.dataset.distortions import DISTORTIONS, UNDISTORTED
from ml.dataset.ground_truth import Dataset, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import score_predictions
from ml.evaluation.informativeness import load_informativeness
from ml.evaluation.intervals import divide, interval, resample
from ml.evaluation.over_seeds import r_precision_ratios
from pipeline.settings import EvaluationSettings

SPLIT = "inner_test"


class Change(NamedTuple):
    """R-Precision under a distortion minus that without it, mean over the facets that tell; NaN ends with few groups.

    With `against` it is the row's change minus that of the other row.
    """

    distortion: str
    row: str
    change: float
    low: float
    high: float
    against: str | None = None


class Robustness(NamedTuple):
    """The figures of the undistorted pictures by row, and every change."""

    undistorted: dict[str, float]
    changes: list[Change]


class Draws(NamedTuple):
    """The mean over facets of R-Precision: the figure itself, then that of every resample of the groups."""

    values: np.ndarray
    groups: int  # of the facet that has fewest


def robustness(
    folders: Sequence[Path],
    dataset: Path,
    rows: Sequence[str],
    settings: EvaluationSettings,
    against: str | None = None,
) -> Robustness:
    """Every row under every distortion that the folders hold; with `against` also the differences to that row.

    Raises EvaluationError where a folder has no predictions of a row.
    """
    loaded = load_dataset(dataset)
    truth = load_truth(loaded, SPLIT)
    members = [list(loaded.facets).index(facet) for facet in load_informativeness(loaded, truth, settings).averaged]
    names = [name for name in DISTORTIONS if (folders[0] / name).is_dir()]
    every = list(dict.fromkeys([*rows, *([against] if against else [])]))
    draws = {
        (row, name): _draws([folder / name / row for folder in folders], loaded, truth, members, settings)
        for row in every
        for name in (UNDISTORTED, *names)
    }
    changes = [_change(draws, name, row, settings) for name in names for row in every]
    if against:
        others = [row for row in every if row != against]
        changes += [_change(draws, name, row, settings, against) for name in names for row in others]
    return Robustness({row: float(draws[row, UNDISTORTED].values[0]) for row in every}, changes)


def _draws(
    folders: Sequence[Path], dataset: Dataset, truth: Truth, members: list[int], settings: EvaluationSettings
) -> Draws:
    """Those of one row under one distortion, from a folder for each seed; equal resamples for every row."""
    scored = (score_predictions(folder, dataset, truth, settings, further=False) for folder in folders)
    ratios = [r_precision_ratios(each, settings) for each in scored]
    sums, counts = np.mean([each.sums for each in ratios], axis=0)[:, members], ratios[0].counts[:, members]
    stacked = np.hstack([sums, counts])
    again = np.vstack([stacked.sum(0), resample(stacked, settings.resamples, settings.seed)])
    means = np.nanmean(divide(again[:, : len(members)], again[:, len(members) :]), axis=1)
    return Draws(means, int((counts > 0).sum(0).min()))


def _change(
    draws: Mapping[tuple[str, str], Draws],
    name: str,
    row: str,
    settings: EvaluationSettings,
    against: str | None = None,
) -> Change:
    changed = draws[row, name].values - draws[row, UNDISTORTED].values
    if against is not None:
        changed = changed - (draws[against, name].values - draws[against, UNDISTORTED].values)
    groups = draws[row, name].groups
    if groups < settings.least_groups:
        return Change(name, row, float(changed[0]), np.nan, np.nan, against)
    low, high = interval(changed[1:], groups, settings.confidence)
    return Change(name, row, float(changed[0]), float(low[0]), float(high[0]), against)


def table(found: Robustness, rows: Sequence[str], against: str | None = None) -> Iterator[str]:
    """Markdown: a line per distortion, a column per row, changes with their intervals.

    With `against` the changes minus those of that row, which has no column.
    """
    rows = [row for row in rows if row != against]
    yield f"| {f'minus {against}' if against else ''} | " + " | ".join(rows) + " |"
    yield "|---|" + "---|" * len(rows)
    if against is None:
        yield f"| {UNDISTORTED} | " + " | ".join(f"{found.undistorted[row]:.3f}" for row in rows) + " |"
    cells = {(each.distortion, each.row): each for each in found.changes if each.against == against}
    for name in dict.fromkeys(name for name, _ in cells):
        yield f"| {name} | " + " | ".join(_shown(cells[name, row]) for row in rows) + " |"


def _shown(change: Change) -> str:
    sure = "" if np.isnan(change.low) else f" ({change.low:+.3f} to {change.high:+.3f})"
    return f"{change.change:+.3f}{sure}"


def main() -> None:
    """Print the table, and with `--against` a second one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--distorted", type=Path, nargs="+", required=True, help="one folder for each seed")
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", required=True)
    parser.add_argument("--against", help="a row whose changes are taken from those of the others")
    given = parser.parse_args()
    found = robustness(given.distorted, given.dataset, given.rows, EvaluationSettings(), given.against)
    print("\n".join(table(found, given.rows)))
    if given.against:
        print("\n" + "\n".join(table(found, given.rows, given.against)))


if __name__ == "__main__":
    main()
