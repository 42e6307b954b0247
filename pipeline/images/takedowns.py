"""The take-down list: which records and URLs it names, and that their pictures are neither fetched nor kept."""

from pathlib import Path

import polars as pl

from pipeline.images.ledger import Ledger
from pipeline.text_files import read_lines
from pipeline.texts import record_id


def without_taken_down(wanted: pl.DataFrame, ledger: Ledger, file: Path | None) -> pl.DataFrame:
    """The rows that may be fetched; the pictures of the others are deleted."""
    ledger.put_back()
    listed = taken_down(file)
    names = ("record_id", "url", "fallback_url")
    down = pl.any_horizontal(pl.col(name).is_in(list(listed)).fill_null(False) for name in names)
    stays, goes = wanted.filter(~down), wanted.filter(down)
    urls, still_wanted = (
        {*rows["url"].to_list(), *rows["fallback_url"].drop_nulls().to_list()} for rows in (goes, stays)
    )
    ledger.take_down(sorted(urls - still_wanted))
    return stays


def taken_down(file: Path | None) -> dict[str, str]:
    """The record ids and URLs that must not be fetched, each with the line of the take-down list that names it.

    A line is a record's id, an address of the record, or the URL of an image. Raises TextFileError.
    """
    lines = read_lines(file) if file is not None else []
    return {name: line for line in lines for name in (line, record_id(line)) if name is not None}


def idle_takedowns(wanted: pl.DataFrame, file: Path | None) -> tuple[str, ...]:
    """The lines of the take-down list that name neither a record nor a URL of the wanted images, in order."""
    if not (listed := taken_down(file)):
        return ()
    names = {*wanted["record_id"], *wanted["url"], *wanted["fallback_url"].drop_nulls()}
    met = {line for name, line in listed.items() if name in names}
    return tuple(line for line in dict.fromkeys(listed.values()) if line not in met)
