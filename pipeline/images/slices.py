"""Slices: the images divided by a hash of their URL, so that several machines can share the work."""

import hashlib

import polars as pl


def slice_names(count: int) -> list[str]:
    """`000-of-004` to `003-of-004`: the name includes the count, so that slices of different counts are never mixed."""
    return [f"{number:03d}-of-{count:03d}" for number in range(count)]


def slice_of(url: str, count: int) -> str:
    """The slice of a URL. Records with the same URL are in one slice, so no URL is requested twice."""
    digest = hashlib.sha256(url.encode()).digest()
    return f"{int.from_bytes(digest[:8], 'big') % count:03d}-of-{count:03d}"


def in_slice(wanted: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows of the `wanted` table in the slice `name`."""
    count = int(name.rpartition("-")[2])
    return wanted.filter(pl.Series([slice_of(url, count) == name for url in wanted["url"]], dtype=pl.Boolean))
