"""The section on the published files: the paper's figures as printed, ours from the table, and leaks with pictures."""

import re
from pathlib import Path

import polars as pl
import pytest

from ml.report.as_published import IMAGES_SHOWN, as_published, change
from ml.report.results import points, published, show
from ml.report.write import write_report
from pipeline.tables import LEAKS, PAPER_FIGURES
from tests.ml.published_run import LOST, write_published_storage
from tests.ml.scored import FAST


@pytest.fixture(scope="module")
def run(museum, once) -> Path:
    """The storage of a run on published splits."""
    return once("published_storage", lambda folder: write_published_storage(museum, folder))


@pytest.fixture(scope="module")
def section(run: Path):
    return as_published(run)


def test_a_run_of_a_harvest_has_no_such_section(storage: Path, report: Path):
    assert as_published(storage) is None
    assert 'id="published"' not in (report / "report.html").read_text()


def test_the_paper_s_figures_are_as_printed_and_ours_are_those_of_the_table(run, section):
    figures, printed = PAPER_FIGURES.read(run / "paper_figures.parquet"), published()
    table = section.tables[0]
    at = next(number for number, row in enumerate(table.rows) if row.name == "Softmax, paper")
    paper, ours, difference = table.rows[at : at + 3]
    assert (paper.kind, ours.name, difference.name) == ("paper", "this run", "difference")
    where = {"baseline": "softmax", "split": "inner_test", "facet": "object_types", "metric": "r_precision"}
    theirs = printed.filter(**where)["value"].item()
    mine = figures.filter(**where, splits="published").row(0, named=True)
    assert paper.cells[0].text == show("r_precision", theirs) == ".59"
    assert ours.cells[0].text == show("r_precision", mine["value"])
    assert ours.cells[0].interval == f"{show('r_precision', mine['low'])}–{show('r_precision', mine['high'])}"
    assert difference.cells[0].text == points(mine["value"] - theirs)
    assert difference.cells[0].kind == ("ahead" if mine["low"] > theirs else "behind" if mine["high"] < theirs else "")
    lower_rank_is_better = difference.cells[3]
    assert lower_rank_is_better.text.startswith("−")
    assert lower_rank_is_better.kind == "ahead"


def test_a_row_that_was_not_run_is_blank(section):
    for table in (*section.tables, *section.mended):
        rows = list(table.rows)
        at = next(number for number, row in enumerate(rows) if row.name.startswith("Ens. ML+S"))
        ours = rows[at] if table.name.endswith("_2") else rows[at + 1]
        assert {cell.text for cell in ours.cells} == {""}


def test_rows_by_chance_are_blank_too(run, section):
    def zero_shot(found) -> set[str]:
        rows = list(found.tables[2].rows)
        at = next(number for number, row in enumerate(rows) if row.name == "CLIP zero-shot, paper")
        return {cell.text for cell in rows[at + 1].cells}

    assert zero_shot(as_published(run, ["clip_zero_shot"])) == {""}
    assert "" not in zero_shot(section)


def test_a_mean_over_fewer_facets_is_not_compared(run, tmp_path):
    for file in run.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "paper_figures.parquet").unlink()
    figures = PAPER_FIGURES.read(run / "paper_figures.parquet")
    fewer = figures.with_columns(facets=pl.when(pl.col("facet") == "mean").then(3).otherwise("facets").cast(pl.Int64))
    PAPER_FIGURES.write(fewer, tmp_path / "paper_figures.parquet")
    rows = as_published(tmp_path).tables[2].rows
    at = next(number for number, row in enumerate(rows) if row.name == "Softmax, paper")
    assert rows[at + 1].cells[0].text
    assert {cell.text for cell in rows[at + 2].cells} == {""}
    assert as_published(tmp_path).tables[2].head[0][1].text == "Inner test (over 3 facets)"


def test_the_head_says_what_figures_count(run, section, tmp_path):
    figures = PAPER_FIGURES.read(run / "paper_figures.parquet")
    n = figures.filter(splits="published", split="inner_test", facet="subjects", metric="r_precision")["images"].max()
    assert [cell.text for cell in section.tables[0].head[0]][-1] == f"Subjects ({n} images)"
    assert [cell.text for cell in section.tables[2].head[0]][1:] == ["Inner test", "Outer test"]


def test_nothing_is_minus_zero():
    assert change("avg_rank_position", -0.04) == "+0.0"
    assert points(-0.0004) == "+0.0"
    assert points(-0.0006) == "−0.1"


def test_every_split_says_how_many_pictures_could_be_had(section):
    [inner] = [row for row in section.sizes.rows if row.name == "Inner test"]
    rows, pictures, share = (cell.text for cell in inner.cells[:3])
    assert int(rows) == int(pictures) + LOST
    assert share == f"{100 * int(pictures) / int(rows):.1f} %"
    assert [row.name for row in section.sizes.rows] == ["Training", "Validation", "Inner test", "Outer test"]
    assert section.missing == [("the server answers 404", LOST)]


def test_leaks_of_a_test_and_training_are_shown_with_a_picture_of_each_split(run, section):
    leaks = LEAKS.read(run / "leaks.parquet")
    assert section.n_leaks == leaks["group_id"].n_unique() == len(section.leaks)
    assert section.n_leaked == leaks.height == sum(leak.n for leak in section.leaks)
    for leak in section.leaks:
        splits = {one.split for one in leak.images}
        assert {"Training", "Inner test"} <= splits
        assert len(leak.images) == min(leak.n, IMAGES_SHOWN)
        assert all(one.image.startswith("data:image/jpeg;base64,") for one in leak.images)


def test_the_page_and_the_files_have_the_section(run, tmp_path):
    write_report(run, tmp_path, FAST)
    page = (tmp_path / "report.html").read_text()
    assert '<li><a href="#published">As published</a></li>' in page
    assert (
        page.index('<section id="results"')
        < page.index('<section id="published"')
        < page.index('<section id="findings"')
    )
    pictures = page[page.index('<div class="leaks">') : page.index('id="table-leaked"')]
    shown = as_published(run).leaks
    assert pictures.count("<img ") == sum(len(leak.images) for leak in shown)
    for name in ("tables.md", "tables.tex"):
        text = (tmp_path / name).read_text()
        assert len(re.findall(r"Table [123], (?:published|mended) splits", text)) == 6
        assert "How much was leak" in text
