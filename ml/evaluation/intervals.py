"""Intervals by bootstrap over groups of near-duplicates, and paired tests by sign flips of whole groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from scipy import stats

from ml.evaluation.threads import in_threads

IN_MEMORY = 10_000_000  # weights in memory at a time (80 MB)


@dataclass(frozen=True)
class Ratios:
    """Metrics that are a sum over a count: both per group, so that a resample is one matrix product."""

    sums: np.ndarray  # float64 (groups, metrics)
    counts: np.ndarray  # float64 (groups, metrics)

    @property
    def values(self) -> np.ndarray:
        """The metrics themselves, NaN where nothing counts."""
        return divide(self.sums.sum(0), self.counts.sum(0))


@dataclass(frozen=True)
class Paired:
    """The difference of two rows on the same images."""

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

    Columns that do not differ are multiplied once. The draws depend on the seed and the number of groups alone, so
    two baselines resample alike.
    """
    unique, back = unique_columns(sums)
    totals = np.empty((resamples, unique.shape[1]))
    for start, stop in _blocks(resamples, len(sums)):
        totals[start:stop] = draw_weights(len(sums), start, stop, seed) @ unique
    return totals[:, back]


def _blocks(resamples: int, n_groups: int) -> Iterator[tuple[int, int]]:
    size = max(1, IN_MEMORY // max(1, n_groups))
    for start in range(0, resamples, size):
        yield start, min(resamples, start + size)


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


@lru_cache(maxsize=4096)
def _expanded_tail(n_groups: int, confidence: float) -> float:
    """The tail that makes a percentile interval of n draws as wide as the t interval would be."""
    tail = (1 - confidence) / 2
    if n_groups < 2:
        return tail
    wider = np.sqrt(n_groups / (n_groups - 1)) * stats.t.ppf(tail, n_groups - 1)
    return float(stats.norm.cdf(wider))


@dataclass(frozen=True)
class Resampled:
    """One row under every draw and every flip; the difference of two such rows is all that a comparison needs."""

    ratios: Ratios
    replicates: np.ndarray  # (resamples, metrics)
    flipped: np.ndarray  # (resamples, metrics): the row's part of the metric under random signs of the groups

    @property
    def n_groups(self) -> np.ndarray:
        """Groups that count, per metric."""
        return (self.ratios.counts > 0).sum(0)


def resample_row(ratios: Ratios, resamples: int, seed: int) -> Resampled:
    """A row's metrics under every draw and flip; the same for every row with as many groups."""
    totals = np.broadcast_to(ratios.counts.sum(0), ratios.sums.shape)
    parts = np.nan_to_num(divide(ratios.sums, totals))
    return Resampled(ratios, replicate(ratios, resamples, seed), _flip(parts, resamples, seed))


def compare_paired(first: Resampled, second: Resampled, columns: Sequence[int], confidence: float) -> Paired:
    """The paired difference first - second of the mean over `columns`; NaN where a column counts no image.

    The interval is the bootstrap's. The p-value is two-sided, of the hypothesis that rows are exchangeable: the signs
    of whole groups flip at random. Raises ValueError for rows that do not count the same images.
    """
    at = list(columns)
    if not np.array_equal(first.ratios.counts[:, at], second.ratios.counts[:, at]):
        raise ValueError("the two rows do not count the same images")
    difference = float((first.ratios.values[at] - second.ratios.values[at]).mean())
    if np.isnan(difference):
        return Paired(np.nan, np.nan, np.nan, np.nan)
    replicates = (first.replicates[:, at] - second.replicates[:, at]).mean(1)
    low, high = interval(replicates, int(first.n_groups[at].min()), confidence)
    flipped = (first.flipped[:, at] - second.flipped[:, at]).mean(1)
    as_large = int((np.abs(flipped) >= abs(difference) - 1e-12).sum())
    return Paired(difference, float(low[0]), float(high[0]), (1 + as_large) / (len(flipped) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many comparisons were made (Holm 1979); NaN stays NaN and does not count."""
    p = np.asarray(p_values, float)
    order = np.flatnonzero(~np.isnan(p))
    order = order[np.argsort(p[order], kind="stable")]
    corrected = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected.tolist()


def _flip(contributions: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Column sums under random signs of the groups, shape (resamples, columns)."""
    totals = np.empty((resamples, contributions.shape[1]))
    for start, stop in _blocks(resamples, len(contributions)):
        totals[start:stop] = draw_signs(len(contributions), start, stop, seed) @ contributions
    return totals


@njit(cache=True)
def _mix(state):
    """One step of splitmix64 (Steele, Lea, Flood 2014)."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def draw_weights(n_groups: int, start: int, stop: int, seed: int) -> np.ndarray:
    """How often each group is drawn, float64 (stop - start, groups); resample b depends on seed and b alone."""
    weights = np.empty((stop - start, n_groups))
    in_threads(lambda a, b: _draw_weights(weights[a:b], start + a, seed), stop - start)
    return weights


def draw_signs(n_groups: int, start: int, stop: int, seed: int) -> np.ndarray:
    """A random sign per group, float64 (stop - start, groups); resample b depends on seed and b alone."""
    signs = np.empty((stop - start, n_groups))
    in_threads(lambda a, b: _draw_signs(signs[a:b], start + a, seed), stop - start)
    return signs


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
