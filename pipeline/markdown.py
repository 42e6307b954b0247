"""A table as Markdown, for Dagster's pages."""

from collections.abc import Sequence

import polars as pl

BAR = 24  # characters of the longest bar


def markdown(rows: pl.DataFrame, *, bar: str | None = None, most: int = 50) -> str:
    """The first rows; the values of one column are drawn as bars too."""
    shown = rows.head(most).to_dicts()
    lines = [_line([*rows.columns, *([""] if bar else [])]), _line(["---"] * (rows.width + bool(bar)))]
    longest = max((row[bar] for row in shown), default=0) if bar else 0
    for row in shown:
        length = -(-row[bar] * BAR // longest) if bar and longest else 0
        lines.append(_line([*map(_cell, row.values()), *(["█" * length] if bar else [])]))
    if rows.height > most:
        lines.append(f"\n… and {rows.height - most:,} more.")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "/").replace("\n", " ")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
