"""Tables as Markdown."""

import polars as pl

from pipeline.markdown import markdown


def test_long_tables_are_cut_and_cells_cannot_break_the_table():
    rows = pl.DataFrame({"name": ["a|b", "c\nd", None], "n": [1_000, 0, 5]})
    assert markdown(rows, bar="n", most=2).splitlines() == [
        "| name | n |  |",
        "| --- | --- | --- |",
        f"| a/b | 1,000 | {'█' * 24} |",
        "| c d | 0 |  |",
        "",
        "… and 1 more.",
    ]


def test_an_empty_table_has_its_head():
    assert markdown(pl.DataFrame(schema={"rule": pl.String})) == "| rule |\n| --- |\n"
