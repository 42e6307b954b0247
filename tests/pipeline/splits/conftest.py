"""Small museums for the splits: tables with literal content, and random ones from a seed."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest


@dataclass(frozen=True)
class Tables:
    """What `make_splits` reads."""

    images: pl.DataFrame
    groups: pl.DataFrame
    records: pl.DataFrame
    record_tags: pl.DataFrame
    tags: pl.DataFrame
    provider_distances: pl.DataFrame

    def all(self) -> tuple[pl.DataFrame, ...]:
        return (self.images, self.groups, self.records, self.record_tags, self.tags, self.provider_distances)

    def shuffled(self, seed: int) -> "Tables":
        """The same content with rows in another order."""
        return Tables(*(table.sample(fraction=1.0, shuffle=True, seed=seed) for table in self.all()))

    def only(self, record_ids: list[str]) -> "Tables":
        """The part of these records."""
        kept = [table.filter(pl.col("record_id").is_in(record_ids)) for table in self.all()[:4]]
        return Tables(*kept, self.tags, self.provider_distances)

    def with_groups(self, names: dict[str, str]) -> "Tables":
        """The given records' groups replaced."""
        renamed = pl.col("record_id").replace_strict(names, default=pl.col("group_id"), return_dtype=pl.String)
        return replace(self, groups=self.groups.with_columns(group_id=renamed))


def tables(rows: list[tuple[str, str, str, list[str]]], facets: dict[str, str], outer: list[str]) -> Tables:
    """Tables from rows of record, provider, group and tags; one image a record."""
    key = {"record_id": [row[0] for row in rows], "view": pl.Series([0] * len(rows), dtype=pl.Int16)}
    pairs = [(record, facets[tag], tag, True) for record, _, _, tags in rows for tag in tags]
    names = sorted({row[1] for row in rows})
    chosen = [outer.index(name) + 1 if name in outer else None for name in names]
    return Tables(
        images=pl.DataFrame({**key, "image_id": [f"hash of {row[0]}" for row in rows]}),
        groups=pl.DataFrame({**key, "group_id": [row[2] for row in rows]}),
        records=pl.DataFrame({"record_id": key["record_id"], "data_provider": [row[1] for row in rows]}),
        record_tags=pl.DataFrame(pairs, schema=["record_id", "facet", "tag_id", "stated"], orient="row"),
        tags=pl.DataFrame({"tag_id": list(facets), "facet": list(facets.values())}),
        provider_distances=pl.DataFrame({"data_provider": names, "chosen": pl.Series(chosen, dtype=pl.Int16)}),
    )


def random_rows(n: int, seed: int, providers: int = 12) -> tuple[list[tuple[str, str, str, list[str]]], dict[str, str]]:
    """Rows for `tables`: 60 long-tailed tags under 12 upper ones, 1 to 3 a record, a twelfth of the records grouped."""
    rng = np.random.default_rng(seed)
    facets = {f"t{number:02d}": ("object_types", "materials", "subjects")[number % 3] for number in range(60)}
    facets |= {f"up{number:02d}": ("object_types", "materials", "subjects")[number % 3] for number in range(12)}
    weights = np.arange(1, 61) ** -1.2
    rows = []
    for number in range(n):
        record = f"/1/{number:05d}"
        stated = rng.choice(60, rng.integers(1, 4), replace=False, p=weights / weights.sum())
        closed = sorted({f"t{tag:02d}" for tag in stated} | {f"up{tag % 12:02d}" for tag in stated})
        first = number - number % 3 if number % 36 < 3 else number
        rows.append((record, f"p{rng.integers(0, providers):02d}", f"/1/{first:05d}#0", closed))
    return rows, facets


@pytest.fixture(scope="session")
def museum() -> Tables:
    """3,000 records of 30 providers, the first of which is the outer test."""
    return tables(*random_rows(3_000, seed=7, providers=30), outer=["p00"])
