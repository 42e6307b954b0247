"""How many images and providers a test needs to show a difference, from the spread that two rows have today."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from ml.dataset.ground_truth import EvaluationError, load_truth
from ml.dataset.open import load_dataset
from ml.evaluation.evaluate import mean_facets, predicted_splits, score_predictions
from pipeline.settings import EvaluationSettings

POWER = 0.8  # the usual chance of seeing a difference that is there
GROUPS_A_PROVIDER = (20, 50, 100, 200)
MOST = 1_000_000  # units; more is as good as never
TRIALS = 2_000  # of the simulation that checks a size
MOST_DRAWS = 50_000_000  # in one array of the simulation, trials times units: 400 MB


@dataclass(frozen=True)
class Spread:
    """The paired difference of two rows on one split, and how much it varies; variances of R-Precision.

    `within` is between the groups of one provider, `between` is between the true differences of providers; NaN with
    one provider.
    """

    split: str
    difference: float
    within: float
    between: float
    groups: int
    providers: int

    def of_provider(self, groups: int) -> float:
        """The variance of one provider's mean over so many groups."""
        return self.between + self.within / groups


@dataclass(frozen=True)
class Size:
    """A test that shows the difference with the wanted power; `units` None: no size up to MOST does."""

    groups_a_provider: int | None  # None: the providers stay as they are, only groups are added
    units: int | None  # providers, or groups where the providers stay
    simulated: float | None  # share of simulated tests of that size that show it; None where they are too large

    @property
    def groups(self) -> int | None:
        """Groups of images in all."""
        return None if self.units is None else self.units * (self.groups_a_provider or 1)


def spreads(
    first: Path, second: Path, dataset: Path, settings: EvaluationSettings, facet: str = "mean"
) -> list[Spread]:
    """The spread on every split that both predictions folders have.

    An image's difference is that of its R-Precision, for `mean` averaged over the facets it is annotated in: all that
    means count, also those that the report leaves out because they cannot tell. Raises EvaluationError for predictions
    that do not fit, and for a facet that does not exist.
    """
    loaded = load_dataset(dataset)
    facets = mean_facets(loaded.facets) if facet == "mean" else [facet]
    if not set(facets) <= set(loaded.facets):
        raise EvaluationError(f"There is no facet {facet}; there are {', '.join(loaded.facets)} and mean.")
    found = []
    for split in predicted_splits(first):
        if split in predicted_splits(second):
            truth = load_truth(loaded, split)
            rows = [score_predictions(path, loaded, truth, settings, further=False) for path in (first, second)]
            values = [np.array([row.facets[name].column("r_precision") for name in facets]) for row in rows]
            difference = values[0] - values[1]
            known = ~np.isnan(difference).all(0)
            if known.any():
                providers = truth.images["data_provider"].fill_null("").to_numpy()[known]
                found.append(spread_of(np.nanmean(difference[:, known], 0), truth.groups[known], providers, split))
    if not found:
        raise EvaluationError(f"{first} and {second} have no images in common that are annotated in {facet}.")
    return found


def spread_of(differences: np.ndarray, groups: np.ndarray, providers: np.ndarray, split: str = "") -> Spread:
    """The spread of images' differences (n,), by the moments of a one-way analysis of variance (Searle 1992, 3.6).

    A group counts once, with the mean of its images, for the provider of its first image.
    """
    names, first, group = np.unique(groups, return_index=True, return_inverse=True)
    means = np.bincount(group, weights=differences) / np.bincount(group)
    _, provider = np.unique(providers[first], return_inverse=True)
    sizes = np.bincount(provider)
    of_provider = np.bincount(provider, weights=means) / sizes
    n, k = len(names), len(sizes)
    within = float(((means - of_provider[provider]) ** 2).sum() / (n - k)) if n > k else 0.0
    between = float("nan")
    if k > 1:
        typical = (n - (sizes**2).sum() / n) / (k - 1)
        among = float((sizes * (of_provider - means.mean()) ** 2).sum() / (k - 1))
        between = max(0.0, (among - within) / typical)
    return Spread(split, float(means.mean()), within, between, n, k)


def sizes_needed(
    spread: Spread,
    difference: float,
    settings: EvaluationSettings | None = None,
    *,
    groups_a_provider: Sequence[int] = GROUPS_A_PROVIDER,
) -> Iterator[Size]:
    """The sizes of a test that show a difference: with the providers of today, then with other providers.

    Every size up to MOST_DRAWS is checked by simulation. Without a known spread between providers there is only the
    first.
    """
    settings = settings or EvaluationSettings()
    groups = units_needed(difference, spread.within, POWER, settings.confidence)
    yield Size(None, groups, _checked(difference, spread.within, groups, settings))
    for n in groups_a_provider if not np.isnan(spread.between) else ():
        units = units_needed(difference, spread.of_provider(n), POWER, settings.confidence)
        yield Size(n, units, simulate(spread, difference, units, n, settings))


def units_needed(difference: float, variance: float, power: float, confidence: float) -> int | None:
    """The smallest number of independent units with which a t test shows the difference; None above MOST."""
    low, high = 1, 2
    while power_of(difference, variance, high, confidence) < power:
        if high == MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(difference, variance, middle, confidence) >= power else (middle, high)
    return high


def power_of(difference: float, variance: float, units: int, confidence: float) -> float:
    """The chance that a two-sided t test over so many units (at least 2) shows a difference that is there."""
    if variance <= 0:
        return 1.0 if difference else 1 - confidence
    critical = stats.t.ppf((1 + confidence) / 2, units - 1)
    centre = abs(difference) / np.sqrt(variance / units)
    # On the far side a difference would be shown with the wrong sign; that is not counted.
    return float(stats.nct.sf(critical, units - 1, centre))


def simulate(
    spread: Spread,
    difference: float,
    providers: int | None,
    groups: int,
    settings: EvaluationSettings | None = None,
) -> float | None:
    """The share of simulated tests that show the difference: providers with true differences, then groups.

    None where the number of providers is unknown, or too large to be simulated.
    """
    if providers is None or _too_many(providers):
        return None
    settings = settings or EvaluationSettings()
    generator = np.random.default_rng(settings.seed)
    true = difference + np.sqrt(spread.between) * generator.standard_normal((TRIALS, providers))
    means = true + np.sqrt(spread.within / groups) * generator.standard_normal((TRIALS, providers))
    return _shown(means, settings.confidence)


def _checked(difference: float, variance: float, units: int | None, settings: EvaluationSettings) -> float | None:
    if units is None or _too_many(units):
        return None
    noise = np.random.default_rng(settings.seed).standard_normal((TRIALS, units))
    return _shown(difference + np.sqrt(variance) * noise, settings.confidence)


def _too_many(units: int) -> bool:
    """Whether TRIALS tests of so many units would take more than MOST_DRAWS."""
    return units * TRIALS > MOST_DRAWS


def _shown(means: np.ndarray, confidence: float) -> float:
    """The share of the rows (trials, units) whose t interval lies wholly above 0."""
    units = means.shape[1]
    half = stats.t.ppf((1 + confidence) / 2, units - 1) * means.std(1, ddof=1) / np.sqrt(units)
    return float((means.mean(1) > half).mean())
