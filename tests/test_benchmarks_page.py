"""The benchmark page is written from the lines of `make bench`."""

from benchmarks.__main__ import names
from benchmarks.page import machine, page


def test_every_line_is_a_section_with_its_figures():
    lines = [
        {"benchmark": "frechet", "ours_s": 0.14159, "peer": "pytorch-fid", "n": 20_000, "note": "a | b"},
        {"x": 1.5},
    ]
    text = page(lines, "a machine", {"Python": "3.11.7"}, "2026-11-25")
    assert "## frechet\n" in text
    assert "| ours_s | 0.1416 |" in text
    assert "| n | 20,000 |" in text
    assert "| note | a \\| b |" in text
    assert "## line 2\n" in text
    assert "machine: a machine" in text
    assert "Python 3.11.7" in text
    assert text == page(lines, "a machine", {"Python": "3.11.7"}, "2026-11-25")


def test_of_several_runs_the_one_with_the_middle_ratio_is_shown():
    lines = [{"name": "fetch", "ratio": ratio, "ours_s": ours} for ratio, ours in ((1.9, 1), (1.6, 3), (1.8, 2))]
    text = page([*lines, {"name": "loader", "ratio": 2.0}], "a machine", {}, "2026-11-25")
    assert text.count("## fetch\n") == 1
    assert "| ours_s | 2 |" in text
    assert "| ratios of all runs | 1.9, 1.6, 1.8 |" in text
    assert text.count("ratios of all runs") == 1


def test_the_machine_is_named():
    assert "cores" in machine()


def test_the_page_is_no_benchmark():
    assert "page" not in names()
