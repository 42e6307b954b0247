"""The data dictionary: every table with its columns, written from the schemas."""

from pipeline.tables import TABLES, features_table


def data_dictionary() -> str:
    """Markdown of all tables, in the order of the graph; `docs/data-dictionary.md` holds it, and a test compares."""
    tables = [*TABLES.values(), features_table(2048)]
    parts = [
        "# Data dictionary",
        "",
        "Every table is Parquet (zstd), sorted by its key, so that equal content is equal bytes. "
        "Written by `eufcc dictionary` from `pipeline/tables.toml`.",
    ]
    for table in tables:
        parts += ["", f"## `{table.name}`", "", f"{table.row} Key: {', '.join(f'`{name}`' for name in table.key)}.", ""]
        parts += ["| column | type | meaning |", "|---|---|---|"]
        parts += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in table.columns]
    return "\n".join(parts) + "\n"
