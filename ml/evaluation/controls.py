"""Rows that learned nothing, which no test may call better: `python -m ml.evaluation.controls --storage STORAGE`.

The heads are ridge regressions on the stored features, so that many seeds take seconds.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from ml.baselines import PRIOR, PROVIDER
from ml.dataset.ground_truth import Dataset, Truth, load_truth
from ml.dataset.open import load_dataset
from ml.dataset.relevance import Relevance
from ml.dataset.tag_list import FacetTags
from ml.evaluation.ceiling import probe_scores
from ml.evaluation.comparisons import compare_rows, main_ratios
from ml.evaluation.evaluate import Scored, Source, score_source, six_digits
from ml.evaluation.exchanged import EXCHANGED, exchanged_ratios
from ml.evaluation.informativeness import Features, Informativeness, load_informativeness
from ml.evaluation.intervals import Ratios
from ml.evaluation.rankings import provider_frequencies
from ml.evaluation.reference import score_prior, score_provider
from ml.evaluation.verdicts import Difference, differences_to, verdict_of
from pipeline import TEST_SPLITS
from pipeline.settings import EvaluationSettings
from pipeline.splits.provider_features import chosen_extractor, extractors_of
from pipeline.tables import CONTROLS

TRAINED = "trained_head"  # the one that did learn: it shows that a verdict can be had
Matrices = Mapping[str, np.ndarray]  # by facet: scores of all images of a split
Scorer = Callable[[Truth], Scored]


def control_rows(
    dataset: Path,
    features: Path,
    settings: EvaluationSettings,
    seeds: int = 1,
    extractor: str | None = None,
) -> pl.DataFrame:
    """CONTROLS: every control on both tests, from each of the seeds, beside a head that was trained properly.

    `extractor` names the features to use if they are there, else those of the first extractor by name. The museum's
    name alone is judged as a control too. It and the trained head depend on no seed and are judged once, as seed 0.
    """
    loaded = load_dataset(dataset)
    described = Features(features, chosen_extractor(extractors_of(features), extractor), loaded, settings)
    references = _references(loaded, settings)
    rows: list[dict[str, object]] = []
    for split in TEST_SPLITS:
        truth = load_truth(loaded, split)
        if truth.images.is_empty():
            continue
        told = load_informativeness(loaded, truth, settings)
        known = {name: main_ratios(score(truth)) for name, score in references.items()}
        vectors = described.of(truth.images["image_id"]).astype(np.float64)
        trained = _trained(loaded, described, vectors, described.relevance)
        for seed in range(seeds):
            controls = _controls(loaded, described, vectors, trained, seed)
            judged = {name: _scorer(name, scores, loaded, settings) for name, scores in controls}
            if seed == 0:
                judged[TRAINED] = _scorer(TRAINED, trained, loaded, settings)
                judged |= {name: score for name, score in references.items() if name == PROVIDER}
            rows += _judged(judged, known, loaded, truth, told, settings, seed)
    return CONTROLS.frame(rows).sort(CONTROLS.key)


def _references(dataset: Dataset, settings: EvaluationSettings) -> dict[str, Scorer]:
    """The label prior, and the museum's name alone where there are training images."""
    scorers: dict[str, Scorer] = {PRIOR: lambda truth: score_prior(dataset, truth, settings)}
    frequencies = provider_frequencies(dataset)
    if frequencies is not None:
        scorers[PROVIDER] = lambda truth: score_provider(frequencies, dataset, truth, settings)
    return scorers


def _controls(
    dataset: Dataset, features: Features, vectors: np.ndarray, trained: Matrices, seed: int
) -> Iterator[tuple[str, Matrices]]:
    """Random weights on the features, a head trained on shuffled labels, and the trained head on other pictures."""
    generator = np.random.default_rng(seed)
    scaled = (vectors - vectors.mean(0)) / np.maximum(vectors.std(0), 1e-6)
    random = {f: scaled @ generator.normal(size=(scaled.shape[1], len(tags))) for f, tags in dataset.facets.items()}
    yield "untrained", random
    shuffled = generator.permutation(len(features.train))
    labels = {facet: relevance.of(shuffled) for facet, relevance in features.relevance.items()}
    yield "shuffled_labels", _trained(dataset, features, vectors, labels)
    other = generator.permutation(len(vectors))
    yield "shuffled_pictures", {facet: scores[other] for facet, scores in trained.items()}


def _trained(
    dataset: Dataset, features: Features, vectors: np.ndarray, targets: Mapping[str, Relevance]
) -> dict[str, np.ndarray]:
    """The scores of a head trained on the training images' features and these relevances."""
    return {
        facet: probe_scores(vectors, features.train_vectors, targets[facet], len(tags))
        for facet, tags in dataset.facets.items()
    }


def _judged(
    judged: Mapping[str, Scorer],
    known: Mapping[str, Ratios],
    dataset: Dataset,
    truth: Truth,
    told: Informativeness,
    settings: EvaluationSettings,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Rows of CONTROLS: each row beside the label prior, the museum's name, and itself with pictures exchanged.

    `known` are the ratios of these two references.
    """
    ratios = {name: main_ratios(score(truth)) for name, score in judged.items() if name not in known} | dict(known)
    pairs = []
    for name, score in judged.items():
        ratios[f"{name} {EXCHANGED}"] = exchanged_ratios(score, truth, settings)
        pairs += [(name, second) for second in (PRIOR, PROVIDER, f"{name} {EXCHANGED}") if second in ratios]
    compared = compare_rows(ratios, pairs, dataset, told, truth.name, settings)
    own = pl.col("second").str.ends_with(EXCHANGED)
    compared = compared.with_columns(second=pl.when(own).then(pl.lit(EXCHANGED)).otherwise("second"))
    for (name, split, facet), differences in differences_to(compared).items():
        place = {"run": dataset.run, "control": name, "seed": seed, "split": split, "facet": facet}
        yield {**place, **_figures(differences), "tells": told.word(facet)}


def _figures(differences: Mapping[str, Difference]) -> dict[str, object]:
    cells: dict[str, object] = {"verdict": verdict_of(differences.values())}
    for name, second in (("over_prior", PRIOR), ("over_provider", PROVIDER), ("from_pictures", EXCHANGED)):
        difference = differences.get(second)
        cells[name] = None if difference is None else six_digits(round(difference.difference, 12) + 0.0)
    return cells


def _scorer(name: str, scores: Matrices, dataset: Dataset, settings: EvaluationSettings) -> Scorer:
    """Scores these matrices on a truth, as a row of this name."""

    def score(truth: Truth) -> Scored:
        def batches(tags: FacetTags) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            yield scores[tags.facet].astype(np.float32), np.arange(len(truth.groups))

        return score_source(Source(name, 0, name, batches), dataset, truth, settings, further=False)

    return score


def counted(controls: pl.DataFrame) -> pl.DataFrame:
    """By control the verdicts on tests that tell, and how many of them are a ✓."""
    return (
        controls.filter(tells="tells")
        .group_by("control")
        .agg(
            verdicts=pl.len(), better=(pl.col("verdict") == "better").sum(), worse=(pl.col("verdict") == "worse").sum()
        )
        .sort("control")
    )


def main() -> None:
    """Print how many verdicts each control got, and how many of them were a ✓."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path, required=True, help="storage folder with dataset/ and features/")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    settings = EvaluationSettings()
    rows = control_rows(given.storage / "dataset", given.storage / "features", settings, given.seeds)
    with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        print(counted(rows))
        print(rows.filter(facet="mean", seed=0).drop("run", "seed", "facet"))


if __name__ == "__main__":
    main()
