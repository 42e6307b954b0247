"""The outer test: the distance of every provider to the whole dataset, and the rule that chooses two providers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.settings import SplitSettings
from pipeline.splits import frechet
from pipeline.splits.provider_features import (
    DIVERSITY_FACET,
    chosen_extractor,
    extractors_of,
    feature_matrix,
    provider_images,
    provider_sizes,
    seeded_order,
)
from pipeline.tables import PROVIDER_DISTANCES
from pipeline.waits import Progress

DIGITS = 6  # significant digits in the published table; the last bits differ between machines


def provider_distances(
    features: Path | pl.DataFrame,
    images: pl.DataFrame,
    records: pl.DataFrame,
    record_tags: pl.DataFrame,
    settings: SplitSettings,
    previous: pl.DataFrame | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """PROVIDER_DISTANCES: size, diversity and distances of every provider for every extractor, and the chosen ones.

    The features of `settings.outer_extractor` decide the choice (without any, those of the first extractor by name);
    the rows of every extractor show it. `previous` is the earlier PROVIDER_DISTANCES or SPLIT_TABLE: its outer
    providers stay chosen unless `settings.reselect` is set. `progress` is in providers, first for their distances, then
    for the intervals, of one extractor after the other. Raises DistanceError for images without features.
    """
    rows = provider_images(images, records, record_tags, settings.seed)
    if rows.is_empty():
        return PROVIDER_DISTANCES.empty()
    providers = mark_eligible(provider_sizes(rows, record_tags), settings)
    names = extractors_of(features)
    deciding = chosen_extractor(names, settings.outer_extractor)
    kept = [] if settings.reselect else chosen_before(previous)
    chosen: list[str] | None = None
    tables = []
    for name in sorted(names, key=lambda name: name != deciding):
        matrix = feature_matrix(features, name, rows["image_id"])
        measured = measure(matrix, rows, providers, name, settings, progress)
        if chosen is None:
            chosen = choose(measured.table, measured.distances_from, settings, kept)
        tables.append(_explained(measured, chosen, kept, name, settings))
    return pl.concat(tables).sort("data_provider", "extractor")


def mark_eligible(sizes: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Adds `eligible` and `reason`: the share must be in range and the entropy high enough.

    If too few providers reach the entropy, those next in entropy are eligible as well; their reason says `relaxed`.
    """
    low, high = settings.outer_min_share, settings.outer_max_share
    bits, needed = settings.outer_min_entropy_bits, settings.outer_providers
    in_range = sizes.filter(pl.col("share").is_between(low, high)).sort(
        "entropy", "data_provider", descending=[True, False]
    )
    diverse = in_range.filter(pl.col("entropy") >= bits)["data_provider"].to_list()
    relaxed = in_range["data_provider"].to_list()[len(diverse) : max(needed, len(diverse))]
    reasons = []
    for row in sizes.iter_rows(named=True):
        types = f"{row['entropy']:.3g} bits of {DIVERSITY_FACET.plural}"
        if row["share"] < low:
            reasons.append(f"share {row['share']:.2%} is below {low:.2%}")
        elif row["share"] > high:
            reasons.append(f"share {row['share']:.2%} is above {high:.2%}")
        elif row["data_provider"] in diverse:
            reasons.append(f"eligible: share {row['share']:.2%}, {types}")
        elif row["data_provider"] in relaxed:
            reasons.append(f"relaxed: {types}, but fewer than {needed} providers in range reach {bits:g}")
        else:
            reasons.append(f"{types} are fewer than {bits:g}: images of too few kinds")
    eligible = pl.col("data_provider").is_in(diverse + relaxed)
    return sizes.with_columns(eligible=eligible, reason=pl.Series(reasons, dtype=pl.String))


@dataclass(frozen=True)
class Measured:
    """`table` has the providers' distances to the whole; `distances_from` computes those to one provider, by name."""

    table: pl.DataFrame
    distances_from: Callable[[str], list[float]]


def measure(
    matrix: np.ndarray,
    rows: pl.DataFrame,
    providers: pl.DataFrame,
    extractor: str,
    settings: SplitSettings,
    progress: Progress | None = None,
) -> Measured:
    """The distance of every provider to the whole, from the feature rows [n, d] sorted as `rows`."""
    names = providers["data_provider"].to_list()
    ends = providers["n"].cum_sum().to_list()
    starts = [0, *ends[:-1]]
    sets = [matrix[start:end] for start, end in zip(starts, ends, strict=True)]
    whole, each = frechet.moments_of_sets(sets)
    to_whole = frechet.reference(whole)
    distances = frechet.distances_to(to_whole, sets, each, progress=progress)
    seeds = seeded_order(settings.seed, pl.Series([f"{extractor} {name}" for name in names]))

    def interval(index: int) -> tuple[float, float] | None:
        generator = np.random.Generator(np.random.PCG64(int(seeds[index])))
        return frechet.resampling_interval(
            sets[index], distances[index], to_whole, resamples=settings.bootstrap, generator=generator
        )

    sample = np.sort(rows["order"].arg_sort()[: settings.kid_subset].to_numpy())

    def kernel(index: int) -> float | None:
        subset = np.arange(starts[index], min(ends[index], starts[index] + settings.kid_subset))
        return frechet.kernel_distance(matrix[subset], matrix[sample], same=subset[:, None] == sample[None, :])

    @cache
    def distances_from(name: str) -> list[float]:
        first = names.index(name)
        moments = each[first] or frechet.moments(sets[first])
        to_first = frechet.distances_to(frechet.reference(moments), sets, each)
        to_first[first] = 0.0
        return to_first

    intervals = [pair or (None, None) for pair in frechet.in_threads(interval, range(len(names)), progress=progress)]
    table = providers.with_columns(
        frechet_to_whole=pl.Series(distances, dtype=pl.Float64),
        low=pl.Series([low for low, _ in intervals], dtype=pl.Float64),
        high=pl.Series([high for _, high in intervals], dtype=pl.Float64),
        kid=pl.Series(frechet.in_threads(kernel, range(len(names))), dtype=pl.Float64),
        fewer_images_than_dimensions=pl.col("n") < matrix.shape[1],
    ).with_columns(pl.col("entropy", "share", "frechet_to_whole", "low", "high", "kid").round_sig_figs(DIGITS))
    order = table.filter(pl.col("kid").is_not_null()).sort("kid", "data_provider", descending=[True, False])
    ranks = order.select("data_provider", kid_rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int32))
    return Measured(table.join(ranks, on="data_provider", how="left", maintain_order="left"), distances_from)


def chosen_before(previous: pl.DataFrame | None) -> list[str]:
    """The outer providers of an earlier PROVIDER_DISTANCES (in their order) or SPLIT_TABLE (by name)."""
    if previous is None:
        return []
    if "chosen" in previous.columns:
        chosen = previous.filter(pl.col("chosen").is_not_null()).sort("chosen", "data_provider")
        return chosen["data_provider"].unique(maintain_order=True).to_list()
    return previous.filter(pl.col("split") == "outer_test")["suite"].unique().sort().to_list()


def choose(
    table: pl.DataFrame, distances_from: Callable[[str], list[float]], settings: SplitSettings, kept: Sequence[str] = ()
) -> list[str]:
    """The outer providers in order of choice, at most `settings.outer_providers`; ties go by name.

    The first is the eligible provider farthest from the whole, the next the farthest from (or nearest to) the first.
    Providers in `kept` that still have images come before all others.
    """
    present = set(table["data_provider"].to_list())
    chosen = [name for name in kept if name in present][: settings.outer_providers]
    if not chosen:
        farthest = _ranked(table.filter("eligible"), "frechet_to_whole", farthest=True)
        chosen = farthest[: min(1, settings.outer_providers)]
    if chosen and len(chosen) < settings.outer_providers:
        measured = table.with_columns(to_first=pl.Series(distances_from(chosen[0])).round_sig_figs(DIGITS))
        others = measured.filter(pl.col("eligible") & ~pl.col("data_provider").is_in(chosen))
        ranked = _ranked(others, "to_first", farthest=settings.second_rule == "farthest")
        chosen += ranked[: settings.outer_providers - len(chosen)]
    return chosen


def _ranked(table: pl.DataFrame, column: str, *, farthest: bool) -> list[str]:
    return table.sort(column, "data_provider", descending=[farthest, False])["data_provider"].to_list()


def _explained(
    measured: Measured, chosen: Sequence[str], kept: Sequence[str], extractor: str, settings: SplitSettings
) -> pl.DataFrame:
    """The table with the choice, the distances to the first provider, and the reason of every row."""
    table = measured.table
    names = table["data_provider"].to_list()
    to_first = measured.distances_from(chosen[0]) if chosen else [None] * len(names)
    reasons = [
        _reason_chosen(chosen, name, reason, name in kept, settings) if name in chosen else reason
        for name, reason in zip(names, table["reason"], strict=True)
    ]
    ordinals = [chosen.index(name) + 1 if name in chosen else None for name in names]
    explained = table.with_columns(
        extractor=pl.lit(extractor),
        frechet_to_first=pl.Series(to_first, dtype=pl.Float64).round_sig_figs(DIGITS),
        chosen=pl.Series(ordinals, dtype=pl.Int16),
        reason=pl.Series(reasons, dtype=pl.String),
    )
    return PROVIDER_DISTANCES.frame(explained.select(PROVIDER_DISTANCES.schema.names).to_dicts())


def _reason_chosen(chosen: Sequence[str], name: str, reason: str, kept: bool, settings: SplitSettings) -> str:
    if kept:
        return f"chosen before, and kept ({reason})"
    if name == chosen[0]:
        return f"chosen first, the farthest from the whole ({reason})"
    return f"chosen {settings.second_rule} from {chosen[0]} ({reason})"
