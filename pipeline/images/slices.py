"""Slices: the images shared out by a hash of their URL, so that machines can work side by side."""

import hashlib

import polars as pl


def slice_names(count: int) -> list[str]:
    """`000-of-004` to `003-of-004`: a name says how many there are, so that slices of two cuts are never mixed."""
    return [f"{number:03d}-of-{count:03d}" for number in range(count)]


def slice_of(url: str, count: int) -> str:
    """The slice that a URL is in. Records with the same URL share one, so no URL is asked for twice."""
    digest = hashlib.sha256(url.encode()).digest()
    return f"{int.from_bytes(digest[:8], 'big') % count:03d}-of-{count:03d}"


def in_slice(wanted: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows of the `wanted` table that are in the slice of that name."""
    count = int(name.rpartition("-")[2])
    return wanted.filter(pl.Series([slice_of(url, count) == name for url in wanted["url"]], dtype=pl.Boolean))
