"""Intervals over groups of near-duplicates by bootstrap, over providers by jackknife; paired tests by sign flips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from scipy import stats

from ml.evaluation.threads import in_threads

IN_MEMORY = 10_000_000  # weights in memory at a time (80 MB)
Draw = Callable[[int, int, int, int], np.ndarray]  # groups, start, stop, seed -> float64 (stop - start, groups)


@dataclass(frozen=True)
class Ratios:
    """Metrics as sums and counts per group; resampling the groups is then one matrix product."""

    sums: np.ndarray  # float64 (groups, metrics)
    counts: np.ndarray  # float64 (groups, metrics)

    @property
    def values(self) -> np.ndarray:
        """The metrics themselves, NaN where nothing counts."""
        return divide(self.sums.sum(0), self.counts.sum(0))


@dataclass(frozen=True)
class Paired:
    """The difference of two rows on the same images, with its interval and p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def divide(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums by counts, NaN where the count is 0."""
    return np.divide(sums, counts, out=np.full(np.broadcast(sums, counts).shape, np.nan), where=counts != 0)


def sum_by_group(values: np.ndarray, groups: np.ndarray, n_groups: int) -> Ratios:
    """Per-image values (n, metrics) with NaN for images that do not count, summed and counted by group."""
    sums = np.empty((n_groups, values.shape[1]))
    counts = np.empty_like(sums)
    for column, series in enumerate(values.T):
        counted = ~np.isnan(series)
        sums[:, column] = np.bincount(groups[counted], weights=series[counted], minlength=n_groups)
        counts[:, column] = np.bincount(groups[counted], minlength=n_groups)
    return Ratios(sums, counts)


def resample(sums: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Column sums of `resamples` draws of groups with replacement, shape (resamples, columns).

    Equal columns are multiplied once. The draws depend only on the seed and the number of groups, so all baselines get
    the same ones.
    """
    unique, back = unique_columns(sums)
    return _weighted_sums(draw_weights, unique, resamples, seed)[:, back]


def _weighted_sums(draw: Draw, values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Column sums of the values (groups, columns) under random weights of the groups, shape (resamples, columns)."""
    totals = np.empty((resamples, values.shape[1]))
    step = max(1, IN_MEMORY // max(1, len(values)))
    for start in range(0, resamples, step):
        stop = min(resamples, start + step)
        totals[start:stop] = draw(len(values), start, stop, seed) @ values
    return totals


def unique_columns(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct columns in order of appearance, and for every column which of them it is."""
    seen: dict[bytes, int] = {}
    back = np.array([seen.setdefault(column.tobytes(), len(seen)) for column in np.ascontiguousarray(matrix.T)], int)
    first = np.array([int(np.flatnonzero(back == number)[0]) for number in range(len(seen))], int)
    return np.ascontiguousarray(matrix[:, first]), back


def replicate(ratios: Ratios, resamples: int, seed: int) -> np.ndarray:
    """Every metric of every resample, shape (resamples, metrics)."""
    width = ratios.sums.shape[1]
    totals = resample(np.hstack([ratios.sums, ratios.counts]), resamples, seed)
    return divide(totals[:, :width], totals[:, width:])


def interval(replicates: np.ndarray, n_groups: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of each column, widened for few groups (Hesterberg 2015, expanded percentile interval)."""
    columns = replicates.reshape(len(replicates), -1)
    low = np.full(columns.shape[1], np.nan)
    high = low.copy()
    tail = _expanded_tail(n_groups, confidence)
    for number, column in enumerate(columns.T):
        known = column[~np.isnan(column)]
        if len(known):
            low[number], high[number] = np.quantile(known, [tail, 1 - tail])
    return low, high


def leave_one_out(sums: np.ndarray) -> np.ndarray:
    """Column sums without each of the units in turn, shape (units, columns)."""
    return sums.sum(0) - sums


def jackknife_interval(
    value: float, without: np.ndarray, weights: np.ndarray, confidence: float
) -> tuple[float, float]:
    """The t interval of a figure from the figures without one unit each; NaN where it is not known.

    `without` and `weights` are beside the units (units,), weights summing to 1 and 0 for a unit that does not count.
    The degrees of freedom are those of the effective number of units (Kish 1965), 1 / sum of squared weights: with a
    few large units the spread is known badly, however many small ones there are. Where the units are skewed, the end on
    the side of their long tail is moved out by the first term of Hall's expansion (1992, section 3.3); the other end
    stays. docs/experiments/intervals-over-providers.md has the methods compared, and how often each holds the truth.
    """
    counted = weights > 0
    n, effective = int(counted.sum()), 1 / max(float((weights**2).sum()), 1e-300)
    if n < 2 or effective <= 1 or np.isnan(value) or np.isnan(without[counted]).any():
        return np.nan, np.nan
    error = np.sqrt((n - 1) / n * ((without[counted] - value) ** 2).sum())
    width = float(stats.t.ppf((1 + confidence) / 2, effective - 1) * error)
    further = float(error * _skewness(-without[counted]) * (1 + 2 * stats.norm.ppf((1 + confidence) / 2) ** 2) / 6)
    return value - width + min(further, 0.0), value + width + max(further, 0.0)


def _skewness(influence: np.ndarray) -> float:
    """The skewness of what each unit adds, by the root of their number; 0 where all add the same."""
    centred = influence - influence.mean()
    squares = float((centred**2).sum())
    return float((centred**3).sum()) / squares**1.5 if squares > 0 else 0.0


def unit_weights(counts: np.ndarray) -> np.ndarray:
    """The share of every unit in each metric, from counts (units, metrics); their mean over the metrics that count."""
    totals = counts.sum(0)
    return divide(counts[:, totals > 0], totals[totals > 0]).mean(1) if (totals > 0).any() else np.zeros(len(counts))


@lru_cache(maxsize=4096)
def _expanded_tail(n_groups: int, confidence: float) -> float:
    """The tail probability with which the percentile interval of n groups is as wide as a t interval."""
    tail = (1 - confidence) / 2
    if n_groups < 2:
        return tail
    wider = np.sqrt(n_groups / (n_groups - 1)) * stats.t.ppf(tail, n_groups - 1)
    return float(stats.norm.cdf(wider))


@dataclass(frozen=True)
class Resampled:
    """Resamples of one row; subtract two to compare rows."""

    ratios: Ratios
    replicates: np.ndarray  # (resamples, metrics); of a jackknife (units, metrics): without each unit
    flipped: np.ndarray  # (resamples, metrics): the metric with random signs of the units
    jackknife: bool = False

    @property
    def n_groups(self) -> np.ndarray:
        """Groups that count, per metric."""
        return (self.ratios.counts > 0).sum(0)


def resample_row(ratios: Ratios, resamples: int, seed: int, *, jackknife: bool = False) -> Resampled:
    """Resample a row, by bootstrap or by jackknife; rows with the same number of units get the same draws and flips."""
    totals = np.broadcast_to(ratios.counts.sum(0), ratios.sums.shape)
    flipped = _weighted_sums(draw_signs, np.nan_to_num(divide(ratios.sums, totals)), resamples, seed)
    if jackknife:
        return Resampled(ratios, divide(leave_one_out(ratios.sums), leave_one_out(ratios.counts)), flipped, True)
    return Resampled(ratios, replicate(ratios, resamples, seed), flipped)


def compare_paired(first: Resampled, second: Resampled, columns: Sequence[int], confidence: float) -> Paired:
    """The paired difference first - second of the mean over `columns`; NaN where a column counts no image.

    The p-value is two-sided, from flipping the signs of whole units at random, under the null hypothesis that the rows
    are exchangeable. Raises ValueError if they do not count the same images.
    """
    at = list(columns)
    if not np.array_equal(first.ratios.counts[:, at], second.ratios.counts[:, at]):
        raise ValueError("the two rows do not count the same images")
    difference = float((first.ratios.values[at] - second.ratios.values[at]).mean())
    if np.isnan(difference):
        return Paired(np.nan, np.nan, np.nan, np.nan)
    replicates = (first.replicates[:, at] - second.replicates[:, at]).mean(1)
    if first.jackknife:
        ends = jackknife_interval(difference, replicates, unit_weights(first.ratios.counts[:, at]), confidence)
    else:
        low, high = interval(replicates, int(first.n_groups[at].min()), confidence)
        ends = float(low[0]), float(high[0])
    flipped = (first.flipped[:, at] - second.flipped[:, at]).mean(1)
    as_large = int((np.abs(flipped) >= abs(difference) - 1e-12).sum())
    return Paired(difference, *ends, (1 + as_large) / (len(flipped) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for the number of comparisons (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, float)
    order = np.flatnonzero(~np.isnan(p))
    order = order[np.argsort(p[order], kind="stable")]
    corrected = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected.tolist()


@njit(cache=True)
def _mix(state):
    """One step of splitmix64 (Steele, Lea, Flood 2014)."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draw_weights(n_groups: int, start: int, stop: int, seed: int) -> np.ndarray:
    """How often each group is drawn, float64 (stop - start, groups); resample b depends only on the seed and b."""
    return _fill(_draw_weights, n_groups, start, stop, seed)


def draw_signs(n_groups: int, start: int, stop: int, seed: int) -> np.ndarray:
    """A random sign per group, float64 (stop - start, groups); resample b depends only on the seed and b."""
    return _fill(_draw_signs, n_groups, start, stop, seed)


def _fill(
    kernel: Callable[[np.ndarray, int, int], None], n_groups: int, start: int, stop: int, seed: int
) -> np.ndarray:
    filled = np.empty((stop - start, n_groups))
    in_threads(lambda a, b: kernel(filled[a:b], start + a, seed), stop - start)
    return filled


@njit(cache=True, nogil=True)
def _draw_weights(weights, start, seed):
    half = np.uint64(0xFFFFFFFF)
    n_groups = weights.shape[1]
    row = np.zeros(n_groups, np.uint8)  # stays in the fastest cache; no group is drawn 256 times
    for b in range(weights.shape[0]):
        state = _mix(_mix(np.uint64(seed)) + np.uint64(start + b))
        row[:] = 0
        for pair in range((n_groups + 1) // 2):
            state += np.uint64(0x9E3779B97F4A7C15)
            drawn = _mix(state)
            row[((drawn >> np.uint64(32)) * np.uint64(n_groups)) >> np.uint64(32)] += np.uint8(1)
            if 2 * pair + 1 < n_groups:
                row[((drawn & half) * np.uint64(n_groups)) >> np.uint64(32)] += np.uint8(1)
        weights[b] = row


@njit(cache=True, nogil=True)
def _draw_signs(signs, start, seed):
    n_groups = signs.shape[1]
    for b in range(signs.shape[0]):
        state = _mix(_mix(np.uint64(seed) + np.uint64(1)) + np.uint64(start + b))
        for word in range((n_groups + 63) // 64):
            state += np.uint64(0x9E3779B97F4A7C15)
            bits = _mix(state)
            for i in range(min(64, n_groups - 64 * word)):
                signs[b, 64 * word + i] = 1.0 - 2.0 * ((bits >> np.uint64(i)) & np.uint64(1))
