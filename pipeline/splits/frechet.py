"""Fréchet distances of many sets to one: the one is factored once, and no pair needs a matrix square root.

With B = L Lᵀ, the eigenvalues of A B are those of the symmetric Lᵀ A L, so Tr (A B)^½ is the sum of their roots.
For a set of n < d rows, A = Xᵀ X / (n - 1), they are also those of the small Gram matrix (X L)(X L)ᵀ / (n - 1).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, eigvalsh, lapack

ROWS_PER_BLOCK = 4_096  # a block in float64 is 64 MB at d = 2048
RANK_TOLERANCE = 1e-12  # eigenvalues below this share of the largest are rounding, not a direction
ROUNDING = 1e-9  # a distance below this share of the traces is what cancellation left over


class DistanceError(ValueError):
    """Features that have no Fréchet distance; the message says which and why."""


@dataclass(frozen=True)
class Moments:
    """Count, mean [d] and scatter [d, d] of a set of feature rows, in float64.

    The scatter is the sum of outer products of the centred rows, (n - 1) times the covariance.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance [d, d]; zero for a single row."""
        return self.scatter / max(self.n - 1, 1)


def centre(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean [d] of the rows [n, d], and the rows less it, in float64; DistanceError for no or non-finite rows."""
    if rows.dtype == np.float16:
        rows = rows.astype(np.float32)  # exact, and numpy has no fast way from half to double
    centred = rows.astype(np.float64)
    if len(centred) == 0:
        raise DistanceError("A set without images has no mean; leave it out.")
    mean = centred.mean(axis=0)
    if not np.isfinite(mean).all():
        raise DistanceError("A feature is not a finite number; extract the features again.")
    centred -= mean
    return mean, centred


def moments(rows: np.ndarray, rows_per_block: int = ROWS_PER_BLOCK) -> Moments:
    """The moments of rows [n, d] of any float type, read block by block (a memory map will do)."""
    blocks = (rows[start : start + rows_per_block] for start in range(0, max(len(rows), 1), rows_per_block))
    return merged(_moments_of_block(block) for block in blocks)


def merged(parts: Iterable[Moments]) -> Moments:
    """The moments of the union of disjoint sets, from theirs (Chan, Golub and LeVeque 1983, eq. 2.1)."""
    iterator = iter(parts)
    first = next(iterator, None)
    if first is None:
        raise DistanceError("A set without images has no mean; leave it out.")
    n, mean, scatter = first.n, first.mean, None
    for part in iterator:
        if scatter is None:
            scatter = first.scatter.copy()
        shift = part.mean - mean
        scatter += part.scatter
        blas.dger(n * part.n / (n + part.n), shift, shift, a=scatter.T, overwrite_a=1)
        mean = mean + shift * (part.n / (n + part.n))
        n += part.n
    return Moments(n, mean, first.scatter if scatter is None else scatter)


def _moments_of_block(rows: np.ndarray) -> Moments:
    mean, centred = centre(rows)
    return Moments(len(rows), mean, centred.T @ centred)  # numpy calls syrk here, half the work of gemm


@dataclass(frozen=True)
class Reference:
    """A set that others are compared with: mean [d], trace of its covariance, and a factor [d, r] of it, C = F Fᵀ.

    `triangular`: the factor is a lower Cholesky factor, so products with it cost half.
    """

    n: int
    mean: np.ndarray
    trace: float
    factor: np.ndarray
    triangular: bool


def reference(whole: Moments) -> Reference:
    """Factor a set's covariance once: Cholesky, or the eigenvectors of positive eigenvalue when it is singular."""
    covariance = whole.covariance
    trace = float(np.trace(covariance))
    scale = np.abs(np.diag(covariance)).max(initial=0.0)
    factor, failed = lapack.dpotrf(covariance, lower=1, clean=1)
    pivots = np.diag(factor) ** 2
    if failed == 0 and scale > 0 and pivots.min() > RANK_TOLERANCE * scale:
        return Reference(whole.n, whole.mean, trace, factor, triangular=True)
    values, vectors = np.linalg.eigh(covariance)
    kept = values > RANK_TOLERANCE * max(values.max(initial=0.0), np.finfo(float).tiny)
    return Reference(whole.n, whole.mean, trace, vectors[:, kept] * np.sqrt(values[kept]), triangular=False)


def frechet_distance(one: Moments, to: Reference) -> float:
    """Squared Fréchet distance |m₁ - m₂|² + Tr(C₁ + C₂ - 2 (C₁ C₂)^½) from a set's moments.

    Dowson and Landau 1982, eq. 4; the FID of Heusel et al. 2017, section 3. Never negative, never complex.
    """
    return _distance(one.mean, float(np.trace(one.scatter)) / max(one.n - 1, 1), overlap(one, to), to)


def frechet_distance_of_rows(rows: np.ndarray, to: Reference) -> float:
    """The same distance from the rows [n, d] themselves, exact and cheap for n < d; a single row has no spread."""
    mean, centred = centre(rows)
    spread = float(np.einsum("ij,ij->", centred, centred)) / max(len(rows) - 1, 1)
    return _distance(mean, spread, overlap_of_rows(centred, to), to)


def overlap(one: Moments, to: Reference) -> float:
    """Tr (A B)^½ from the eigenvalues of Fᵀ A F, a d x d symmetric problem."""
    if to.triangular:
        product, _ = lapack.dsygst(one.covariance, to.factor, itype=2, lower=1)  # Fᵀ A F, its lower triangle
    else:
        product = to.factor.T @ one.covariance @ to.factor
    return _sum_of_roots(product)


def overlap_of_rows(centred: np.ndarray, to: Reference) -> float:
    """Tr (A B)^½ for A = Xᵀ X / (n - 1), from the Gram matrix of X F: n x n, or r x r where that is smaller."""
    if len(centred) < 2:
        return 0.0
    projected = _times_factor(centred, to)
    wide = len(projected) <= projected.shape[1]
    gram = projected @ projected.T if wide else projected.T @ projected
    return _sum_of_roots(gram) / np.sqrt(len(centred) - 1)


def _times_factor(rows: np.ndarray, to: Reference) -> np.ndarray:
    """Rows [n, d] times the factor [d, r]."""
    if to.triangular:
        return blas.dtrmm(1.0, to.factor, rows.T, trans_a=1, lower=1).T
    return rows @ to.factor


def _sum_of_roots(symmetric: np.ndarray) -> float:
    """The sum of the square roots of a positive semidefinite matrix's eigenvalues; rounding below 0 is 0."""
    if symmetric.size == 0:
        return 0.0
    values = eigvalsh(symmetric, lower=True, driver="evr", check_finite=False, overwrite_a=True)
    return float(np.sqrt(values.clip(0.0)).sum())


def _distance(mean: np.ndarray, trace: float, common: float, to: Reference) -> float:
    """The distance from its parts; what cancels down to rounding is zero, so equal sets are at 0 on any machine."""
    shift = mean - to.mean
    squared = float(shift @ shift) + trace + to.trace - 2.0 * common
    return squared if squared > ROUNDING * (trace + to.trace) else 0.0


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


def resampling_interval(
    rows: np.ndarray, distance: float, to: Reference, *, resamples: int, generator: np.random.Generator, size: int = 256
) -> Interval | None:
    """A 95 % interval around a set's distance, from subsamples of half its rows; None for fewer than four rows.

    Drawn without replacement and at most `size` at a time, so a resample is one small Gram matrix whatever n is; their
    spread is scaled by (m / (n - m))^½ (Politis and Romano 1994; Shao and Wu 1989 for the half). A bootstrap with
    replacement repeats rows, which lowers the rank where n < d: measured on Gaussians its intervals were up to 3 times
    too wide there, these within 0.9 to 1.5.
    """
    n = len(rows)
    if n < 4 or resamples < 2:
        return None
    drawn = min(n // 2, size)
    values = [frechet_distance_of_rows(rows[generator.permutation(n)[:drawn]], to) for _ in range(resamples)]
    margin = 1.96 * float(np.std(values, ddof=1)) * float(np.sqrt(drawn / (n - drawn)))
    return Interval(max(distance - margin, 0.0), distance + margin)


def kernel_distance(one: np.ndarray, other: np.ndarray, same: np.ndarray | None = None) -> float | None:
    """Unbiased squared MMD with the kernel (x·y / d + 1)³: the KID of Bińkowski et al. 2018, section 4; None for n < 2.

    `same` [n, m] marks pairs that are one and the same image in both sets; they are left out of the cross term.
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
    """The mean kernel of two different rows of one set."""
    kernel = _polynomial_kernel(rows, rows)
    return (float(kernel.sum()) - float(np.trace(kernel))) / (len(rows) * (len(rows) - 1))


def _polynomial_kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one.astype(np.float64) @ other.astype(np.float64).T / one.shape[1] + 1.0) ** 3
