"""Fréchet distances of many sets to one reference: it is factored once, and no pair needs a matrix square root.

With B = L Lᵀ, the eigenvalues of A B are those of the symmetric Lᵀ A L, so Tr (A B)^½ is the sum of their roots.
For a set of n < d rows, A = Xᵀ X / (n - 1), they are also those of the small Gram matrix (X L)(X L)ᵀ / (n - 1).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.linalg import blas, lapack
from threadpoolctl import threadpool_limits

from pipeline.waits import Progress

ROWS_PER_BLOCK = 4_096  # a block in float64 is 64 MB at d = 2048
COLUMNS_PER_BLOCK = 256  # of a product with a triangular factor
RANK_TOLERANCE = 1e-12  # eigenvalues below this share of the largest are rounding errors
ROUNDING = 1e-9  # a distance below this share of the traces is a rounding error
WORKERS = 2  # threads, each with a set of its own and BLAS on one core: faster than one set at a time on all cores

Item = TypeVar("Item")
Result = TypeVar("Result")


class DistanceError(ValueError):
    """Features that have no Fréchet distance; the message says why."""


@dataclass(frozen=True)
class Moments:
    """Count, mean [d] and scatter [d, d] of a set of feature rows, in float64.

    The scatter is the sum of the outer products of the centred rows: (n - 1) times the covariance.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance [d, d]; zero for a single row."""
        return self.scatter / max(self.n - 1, 1)


def centre(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean [d] of rows [n, d] and the centred rows, in float64; raises DistanceError for no or non-finite rows."""
    if rows.dtype == np.float16:
        rows = rows.astype(np.float32)  # exact; numpy converts half to double slowly
    centred = rows.astype(np.float64)
    if len(centred) == 0:
        raise DistanceError("A set without images has no mean; leave it out.")
    mean = centred.mean(axis=0)
    if not np.isfinite(mean).all():
        raise DistanceError("A feature is not a finite number; extract the features again.")
    centred -= mean
    return mean, centred


def moments(rows: np.ndarray, rows_per_block: int = ROWS_PER_BLOCK) -> Moments:
    """The moments of rows [n, d] of any float type, read block by block; a memory map works too."""
    blocks = (rows[start : start + rows_per_block] for start in range(0, max(len(rows), 1), rows_per_block))
    return merged(_moments_of_block(block) for block in blocks)


def merged(parts: Iterable[Moments]) -> Moments:
    """The moments of the union of disjoint sets, from theirs (Chan, Golub and LeVeque 1983, eq. 2.1)."""
    iterator = iter(parts)
    first = next(iterator, None)
    if first is None:
        raise DistanceError("A set without images has no mean; leave it out.")
    n, mean, scatter, copied = first.n, first.mean, first.scatter, False
    for part in iterator:
        if not copied:  # the caller's moments stay as they are; a single part needs no copy
            scatter, copied = scatter.copy(), True
        shift = part.mean - mean
        scatter += part.scatter
        blas.dger(n * part.n / (n + part.n), shift, shift, a=scatter.T, overwrite_a=1)
        mean = mean + shift * (part.n / (n + part.n))
        n += part.n
    return Moments(n, mean, scatter)


def _moments_of_block(rows: np.ndarray) -> Moments:
    mean, centred = centre(rows)
    return Moments(len(rows), mean, centred.T @ centred)  # numpy calls syrk, which does half the work of gemm


@dataclass(frozen=True)
class Reference:
    """A set that others are compared with: mean [d], trace of its covariance C, and a factor F [d, r] with C = F Fᵀ.

    `triangular`: the factor is a lower Cholesky factor; products with it cost half.
    """

    mean: np.ndarray
    trace: float
    factor: np.ndarray
    triangular: bool


def reference(whole: Moments) -> Reference:
    """Factors the covariance of a set: by Cholesky, or by eigenvectors with positive eigenvalues if it is singular."""
    covariance = whole.covariance
    trace = float(np.trace(covariance))
    scale = np.abs(np.diag(covariance)).max(initial=0.0)
    factor, failed = lapack.dpotrf(covariance, lower=1, clean=1)
    pivots = np.diag(factor) ** 2
    if failed == 0 and scale > 0 and pivots.min() > RANK_TOLERANCE * scale:
        return Reference(whole.mean, trace, factor, triangular=True)
    values, vectors = np.linalg.eigh(covariance)
    kept = values > RANK_TOLERANCE * max(values.max(initial=0.0), np.finfo(float).tiny)
    return Reference(whole.mean, trace, vectors[:, kept] * np.sqrt(values[kept]), triangular=False)


def frechet_distance(one: Moments, to: Reference) -> float:
    """Squared Fréchet distance |m₁ - m₂|² + Tr(C₁ + C₂ - 2 (C₁ C₂)^½) from the moments of a set.

    Dowson and Landau 1982, eq. 4; the FID of Heusel et al. 2017, section 3. Never negative, never complex.
    """
    half = _times_factor(one.covariance, to)
    product = np.zeros((half.shape[1], half.shape[1]))  # Fᵀ A F, of which the lower triangle is needed
    for block, below in _column_blocks(to):
        np.matmul(to.factor[below, block].T, half[below, : block.stop], out=product[block, : block.stop])
    return _distance(one.mean, float(np.trace(one.scatter)) / max(one.n - 1, 1), _sum_of_roots(product), to)


def frechet_distance_of_rows(rows: np.ndarray, to: Reference) -> float:
    """The same distance from the rows [n, d] themselves: exact, and cheap for n < d. A single row has no spread.

    Tr (A B)^½ comes from the Gram matrix of X F, which is n x n, or r x r if that is smaller.
    """
    mean, centred = centre(rows)
    return _distance_of_centred(mean, centred, _times_factor(centred, to), to)


def _distance_of_centred(mean: np.ndarray, centred: np.ndarray, projected: np.ndarray, to: Reference) -> float:
    """The distance of a set from its mean [d], its centred rows X [n, d] and their projection X F [n, r]."""
    n = len(centred)
    spread = float(np.einsum("ij,ij->", centred, centred)) / max(n - 1, 1)
    if n < 2:
        return _distance(mean, spread, 0.0, to)
    gram = projected @ projected.T if n <= projected.shape[1] else projected.T @ projected
    return _distance(mean, spread, _sum_of_roots(gram) / np.sqrt(n - 1), to)


def _times_factor(rows: np.ndarray, to: Reference) -> np.ndarray:
    """Rows [n, d] times the factor F [d, r].

    By blocks of columns, without those above the diagonal of a triangular factor: half the work. The routines of
    scipy.linalg.blas and lapack do the same, but they keep the GIL, and threads wait for each other.
    """
    product = np.empty((len(rows), to.factor.shape[1]))
    for block, below in _column_blocks(to):
        np.matmul(rows[:, below], to.factor[below, block], out=product[:, block])
    return product


def _column_blocks(to: Reference) -> Iterator[tuple[slice, slice]]:
    """Blocks of the factor's columns, and the rows in which they are not zero."""
    for start in range(0, to.factor.shape[1], COLUMNS_PER_BLOCK):
        end = min(start + COLUMNS_PER_BLOCK, to.factor.shape[1])
        yield slice(start, end), slice(start if to.triangular else 0, len(to.factor))


def _sum_of_roots(symmetric: np.ndarray) -> float:
    """The sum of the square roots of a positive semidefinite matrix's eigenvalues; those below 0 count as 0."""
    if symmetric.size == 0:
        return 0.0
    values = np.linalg.eigvalsh(symmetric)  # from its lower triangle; that of scipy keeps the GIL
    return float(np.sqrt(values.clip(0.0)).sum())


def _distance(mean: np.ndarray, trace: float, common: float, to: Reference) -> float:
    """The distance from its parts; rounding errors become 0, so equal sets are at distance 0 on any machine."""
    shift = mean - to.mean
    squared = float(shift @ shift) + trace + to.trace - 2.0 * common
    return squared if squared > ROUNDING * (trace + to.trace) else 0.0


def moments_of_sets(sets: Sequence[np.ndarray], workers: int = WORKERS) -> tuple[Moments, list[Moments | None]]:
    """The moments of the union of disjoint sets of rows [n, d], and of every set with at least d rows.

    The entry of a smaller set is None: its covariance has no full rank, so its distance is computed from its rows.
    """
    large = [index for index, rows in enumerate(sets) if len(rows) >= rows.shape[1]]
    of_large = dict(zip(large, in_threads(lambda index: moments(sets[index]), large, workers), strict=True))
    small = list(_blocks_across(rows for rows in sets if len(rows) < rows.shape[1]))
    whole = merged([*in_threads(moments, small, workers), *of_large.values()])
    return whole, [of_large.get(index) for index in range(len(sets))]


def distances_to(
    to: Reference,
    sets: Sequence[np.ndarray],
    each: Sequence[Moments | None],
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> list[float]:
    """The squared Fréchet distance of every set to one reference; `progress` is in sets."""

    def distance(index: int) -> float:
        known = each[index]
        return frechet_distance_of_rows(sets[index], to) if known is None else frechet_distance(known, to)

    return in_threads(distance, range(len(sets)), workers, progress)


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int = WORKERS, progress: Progress | None = None
) -> list[Result]:
    """The results of `work` for every item, in order; meanwhile BLAS uses one thread (it releases the GIL)."""
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        results = []
        for result in pool.map(work, items):
            results.append(result)
            if progress is not None:
                progress(len(results), len(items))
        return results


def _blocks_across(sets: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The rows of many small sets, concatenated to blocks of about ROWS_PER_BLOCK."""
    waiting: list[np.ndarray] = []
    for rows in sets:
        waiting.append(rows)
        if sum(map(len, waiting)) >= ROWS_PER_BLOCK:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def resampling_interval(
    rows: np.ndarray, distance: float, to: Reference, *, resamples: int, generator: np.random.Generator, size: int = 256
) -> tuple[float, float] | None:
    """A 95 % interval around the distance of a set, from subsamples of half its rows; None for fewer than four rows.

    Subsamples are drawn without replacement and have at most `size` rows, so that each needs one small Gram matrix for
    any n. Their spread is scaled by (m / (n - m))^½ (Politis and Romano 1994; Shao and Wu 1989 for half the rows). A
    bootstrap with replacement repeats rows, which lowers the rank if n < d: for Gaussians its intervals were up to 3
    times too wide there, these 0.9 to 1.5 times as wide as they should be.
    """
    n = len(rows)
    if n < 4 or resamples < 2:
        return None
    m = min(n // 2, size)
    drawn = [generator.permutation(n)[:m] for _ in range(resamples)]
    used, places = np.unique(np.stack(drawn), return_inverse=True)
    origin, centred = centre(rows[used])
    projected = _times_factor(centred, to)  # once for all subsamples; each is centred anew
    values = []
    for subsample in places.reshape(resamples, m):
        part, image = centred[subsample], projected[subsample]
        shift = part.mean(axis=0)
        values.append(_distance_of_centred(origin + shift, part - shift, image - image.mean(axis=0), to))
    margin = 1.96 * float(np.std(values, ddof=1)) * float(np.sqrt(m / (n - m)))
    return max(distance - margin, 0.0), distance + margin


def kernel_distance(one: np.ndarray, other: np.ndarray, same: np.ndarray | None = None) -> float | None:
    """Unbiased squared MMD with the kernel (x·y / d + 1)³: the KID of Bińkowski et al. 2018, section 4; None for n < 2.

    `same` [n, m] marks pairs of the same image in both sets; they are left out of the cross term.
    """
    n, m = len(one), len(other)
    if n < 2 or m < 2:
        return None
    cross = _polynomial_kernel(one, other)
    pairs = n * m
    if same is not None:
        pairs -= int(same.sum())
        cross = np.where(same, 0.0, cross)
    if pairs == 0:
        return None
    return _mean_of_pairs(one) + _mean_of_pairs(other) - 2.0 * float(cross.sum()) / pairs


def _mean_of_pairs(rows: np.ndarray) -> float:
    """The mean kernel over pairs of different rows of one set."""
    kernel = _polynomial_kernel(rows, rows)
    return (float(kernel.sum()) - float(np.trace(kernel))) / (len(rows) * (len(rows) - 1))


def _polynomial_kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one.astype(np.float64) @ other.astype(np.float64).T / one.shape[1] + 1.0) ** 3
