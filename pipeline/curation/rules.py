"""The rules that remove records before tags are looked at; the docstring of a rule is its reason in the report."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from pipeline.settings import CurationSettings


@dataclass(frozen=True)
class Circumstances:
    """What rules look at beside the records."""

    settings: CurationSettings
    tombstones: pl.DataFrame


RecordRule = Callable[[pl.DataFrame, Circumstances], pl.Series]


def tombstoned(records: pl.DataFrame, given: Circumstances) -> pl.Series:
    """Europeana has withdrawn the record."""
    return records["record_id"].is_in(given.tombstones["record_id"].to_list())


def not_open(records: pl.DataFrame, given: Circumstances) -> pl.Series:
    """The rights statement is not one that counts as open (paper: reusability open; or the museum's own list)."""
    prefixes = [bare_rights(each) for each in (*given.settings.open_rights, *given.settings.more_open_rights)]
    right = records["rights_uri"].fill_null("")
    distinct = right.unique(maintain_order=True)
    is_open = [bare_rights(each).startswith(tuple(prefixes)) for each in distinct]
    return ~right.is_in(distinct.filter(pl.Series(is_open, dtype=pl.Boolean)).to_list())


def excluded_provider(records: pl.DataFrame, given: Circumstances) -> pl.Series:
    """The provider gives too many and partly wrong tags per image (paper)."""
    return records["data_provider"].is_in(list(given.settings.excluded_providers)).fill_null(False)


def no_thumbnail(records: pl.DataFrame, given: Circumstances) -> pl.Series:
    """The record has no thumbnail (paper: only records with one)."""
    return records["thumbnail_url"].fill_null("") == ""


def over_provider_cap(records: pl.DataFrame, given: Circumstances) -> pl.Series:
    """The provider has more records than one provider may have; which stay follows from a hash of their ids."""
    cap = given.settings.max_records_per_provider
    none_over = pl.repeat(False, records.height, dtype=pl.Boolean, eager=True)
    if cap is None:
        return none_over
    provider = records["data_provider"].fill_null("")
    large = provider.value_counts().filter(pl.col("count") > cap)["data_provider"]
    if large.is_empty():
        return none_over
    of_large = records.select(pl.row_index("row"), "record_id", provider=provider).filter(
        pl.col("provider").is_in(large.to_list())
    )
    order = pl.Series("order", [_lottery(each) for each in of_large["record_id"]], dtype=pl.String)
    rank = of_large.with_columns(order).select("row", rank=pl.col("order").rank("ordinal").over("provider"))
    over = rank.filter(pl.col("rank") > cap)["row"]
    return pl.Series(range(records.height), dtype=over.dtype).is_in(over.to_list())


# Applied in this order; each sees what the ones before it left.
RECORD_RULES: tuple[RecordRule, ...] = (tombstoned, not_open, excluded_provider, no_thumbnail, over_provider_cap)


def reason_of(rule: Callable[..., object]) -> str:
    """Why the rule exists: its docstring."""
    return " ".join((rule.__doc__ or "").split())


def bare_rights(uri: str) -> str:
    """The rights URI without scheme; records and lists write http and https."""
    return uri.strip().removeprefix("https://").removeprefix("http://")


def _lottery(record_id: str) -> str:
    """A number for the record that no harvest and no machine changes."""
    return hashlib.blake2b(record_id.encode(), digest_size=8).hexdigest() + record_id
