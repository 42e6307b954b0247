"""`python -m ml.experiments.seeds --seeds 0 1 2 --dataset … --out … [options]`: the same rows from several seeds.

Further options are those of `python -m ml.experiments`.

Each seed has a folder of its own below `--out`; activations of frozen networks are shared. At the end a table gives the
mean and the range over the seeds of R-Precision, mean over all facets, on both test sets.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ml.experiments.run import main as run_rows
from pipeline import TEST_SPLITS

Figures = Mapping[str, Mapping[str, float]]  # row -> split -> R-Precision


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing, then print the table; 1 when a row cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m ml.experiments.seeds", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where seed-0/, seed-1/ … are kept")
    asked, rest = parser.parse_known_args(arguments)
    figures = []
    for seed in asked.seeds:
        folder = asked.out / f"seed-{seed}"
        folders = ["--models", str(folder / "models"), "--predictions", str(folder / "predictions")]
        shared = ["--cache", str(asked.out / "activations"), "--dataset", str(asked.dataset), "--seed", str(seed)]
        if run_rows([*rest, "--missing", *folders, *shared]) != 0:
            return 1
        figures.append(figures_of(folder / "predictions", asked.dataset))
    print(table(figures), file=sys.stderr)
    return 0


def figures_of(predictions: Path, dataset: Path) -> dict[str, dict[str, float]]:
    """R-Precision of every row that has predictions, and of the label prior: the mean over all facets.

    The report leaves out facets that cannot tell, so that its means may be others.
    """
    from ml.baselines import PRIOR
    from ml.dataset.ground_truth import load_truth
    from ml.dataset.open import load_dataset
    from ml.evaluation.comparisons import main_ratios
    from ml.evaluation.evaluate import mean_facets, score_predictions
    from ml.evaluation.metrics import main_metrics
    from ml.evaluation.reference import score_prior
    from pipeline.settings import EvaluationSettings

    settings, loaded = EvaluationSettings(), load_dataset(dataset)
    figures: dict[str, dict[str, float]] = {}
    for split in TEST_SPLITS:
        truth = load_truth(loaded, split)
        scored = {PRIOR: score_prior(loaded, truth, settings)}
        for folder in sorted(predictions.iterdir()):
            scored[folder.name] = score_predictions(folder, loaded, truth, settings, further=False)
        for row, each in scored.items():
            r_precision = main_ratios(each).values[:: len(main_metrics(settings.top_k))]  # the first metric of a facet
            by_facet = dict(zip(each.facets, r_precision, strict=True))
            mean = np.nanmean([by_facet[facet] for facet in mean_facets(by_facet)])
            figures.setdefault(row, {})[split] = float(mean)
    return figures


def table(seeds: Sequence[Figures]) -> str:
    """Markdown: per row and split the mean over the seeds, and the lowest and highest."""
    lines = [f"| row, {len(seeds)} seeds | " + " | ".join(TEST_SPLITS) + " |", "|---|" + "---|" * len(TEST_SPLITS)]
    for row in seeds[0]:
        cells = []
        for split in TEST_SPLITS:
            values = [figures[row][split] for figures in seeds]
            cells.append(f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
