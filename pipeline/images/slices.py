"""Slices: the images divided by a hash of their URL, so that several machines can share the work."""

import hashlib

import polars as pl

from pipeline.images.wanted import ImageSource, wanted_images


def slice_names(count: int) -> list[str]:
    """`000-of-004` to `003-of-004`: the name includes the count, so that slices of different counts are never mixed."""
    return [f"{number:03d}-of-{count:03d}" for number in range(count)]


def slice_of(url: str, count: int) -> str:
    """The slice of a URL. Records with the same URL are in one slice, so no URL is requested twice."""
    digest = hashlib.sha256(url.encode()).digest()
    return f"{int.from_bytes(digest[:8], 'big') % count:03d}-of-{count:03d}"


_divided: list[tuple[pl.DataFrame, tuple[ImageSource, int], pl.DataFrame, dict[str, pl.DataFrame]]] = []


def wanted_in_slice(records: pl.DataFrame, source: ImageSource, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The `wanted` table of the records, and its rows in the slice `name`.

    A run asks for slice after slice of the same table: it is divided once, and kept until another table is given.
    """
    asked = (source, int(name.rpartition("-")[2]))
    if not _divided or _divided[0][0] is not records or _divided[0][1] != asked:
        wanted = wanted_images(records, source)
        names = pl.Series("slice", [slice_of(url, asked[1]) for url in wanted["url"]], dtype=pl.String)
        parts = wanted.with_columns(names).partition_by("slice", include_key=False, as_dict=True)
        _divided[:] = [(records, asked, wanted, {str(key[0]): part for key, part in parts.items()})]
    _, _, wanted, by_name = _divided[0]
    return wanted, by_name.get(name, wanted.clear())
