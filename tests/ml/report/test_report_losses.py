"""The section on the outer test's losses: shares that add up, and the page that shows them."""

import polars as pl
import pytest

from ml.report.losses import loss_shares, losses_section
from pipeline.tables import BREAKDOWNS


def test_shares_of_every_row_add_up_and_a_single_head_is_left_out(report):
    shares = loss_shares(BREAKDOWNS.read(report / "breakdowns.parquet"))
    assert shares["baseline"].to_list() == [
        "multilabel",
        "softmax",
        "clip_zero_shot",
        "clip_1_tag_prompt",
        "label_prior",
    ]
    for line in shares.iter_rows(named=True):
        assert line["reached"] + line["support"] + line["frequencies"] + line["pictures"] == pytest.approx(1)
        assert 0 <= line["reached"] <= 1


def test_the_page_shows_the_picture_and_its_table(report):
    page = (report / "report.html").read_text(encoding="utf-8")
    assert 'id="figure-losses"' in page
    assert 'id="table-losses"' in page
    assert page.count("Lost to the pictures") == 1


def test_a_run_without_losses_has_no_section(report):
    other = BREAKDOWNS.read(report / "breakdowns.parquet").filter(pl.col("by") != "loss")
    assert losses_section(other) is None
