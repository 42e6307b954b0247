"""The report: its tables hold the results, the paper's rows as printed, and verdicts that follow from differences."""

import io
import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from ml.dataset.ground_truth import EvaluationError
from ml.dataset.open import load_dataset
from ml.evaluation.comparisons import compare
from ml.evaluation.score_run import evaluate_benchmark
from ml.evaluation.verdicts import Difference, standings
from ml.report.charts import images_per_tag, line_of, ranking_chart
from ml.report.examples import CORRECT, NEAR, NOT_ANNOTATED, PLAUSIBLE, WRONG, judge
from ml.report.results import points, published, rows_by_chance, show
from ml.report.samples import Term, tree
from ml.report.sections import show_examples
from ml.report.tables import paper_tables, prior_table
from ml.report.templates import render
from ml.report.write import console_table, write_report
from pipeline.tables import CATALOGUER_DECISIONS, COMPARISONS, PROVIDER_DISTANCES, RESULTS
from tests.ml.scored import FAST


def results(report: Path) -> pl.DataFrame:
    return RESULTS.read(report / "results.parquet")


def test_the_page_needs_nothing_else(report: Path):
    page = (report / "report.html").read_text()
    body = page[: page.index("plotly.js v")]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', body)
    assert not re.search(r"<link[^>]+stylesheet", page)
    assert page.count("plotly.js v") == 1


class Seen(HTMLParser):
    """Ids, anchors and images without a text of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.ids, self.anchors, self.bare, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"])
        if given.get("href", "").startswith("#"):
            self.anchors.append(given["href"][1:])
        if (tag == "img" and not given.get("alt")) or (given.get("role") == "img" and not given.get("aria-label")):
            self.bare.append(tag)


def test_the_page_can_be_read_without_seeing_it(report: Path):
    page = (report / "report.html").read_text()
    seen = Seen()
    seen.feed(page[: page.index("plotly.js v")])
    assert len(seen.ids) == len(set(seen.ids))
    assert set(seen.anchors) <= set(seen.ids)
    assert not seen.bare
    assert '<html lang="en">' in page


def test_the_page_has_curves_examples_and_a_warning_of_random_weights(report: Path):
    page = (report / "report.html").read_text()
    assert "started from random weights" in page
    assert 'data-figure="figure-curves"' in page
    pictures, samples = page[page.index('<section id="examples"') :], page[: page.index('<section id="examples"')]
    assert pictures.count('<article class="card">') == 4
    assert samples.count('<article class="card">') == 6
    assert "Weights: random (seed 1)." in page


def test_every_figure_of_the_tables_is_a_result(report: Path):
    found = results(report)
    comparisons = pl.read_parquet(report / "comparisons.parquet")
    table = next(t for t in paper_tables(found, comparisons) if t.name == "table_1")
    row = next(r for r in table.rows if r.name == "Softmax" and r.kind == "run")
    value = found.filter(
        baseline="softmax", split="inner_test", facet="object_types", metric="r_precision", policy="ignore_unseen"
    )
    assert row.cells[0].text == show("r_precision", value["value"][0])
    alone = next(r for r in table.rows if r.name == "Materials head" and r.kind == "run")
    assert alone.cells[0].text == "–"
    assert alone.cells[4].text != "–"


def test_the_papers_rows_are_printed_as_they_were(report: Path):
    text = (report / "tables.md").read_text()
    assert "| Ens. ML+S | .81 | .88 | .99 | 3.8 | .67 | .70 | .89 | 27.2 |" in text
    tex = (report / "tables.tex").read_text()
    assert r"CLIP zero-shot & .35 & .37 & .66 & 66.7 & .20 & .20 & .46 & 143.4 \\" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 7


def test_the_published_means_are_the_means_of_the_published_facets():
    wide = published()
    facets = (
        wide.filter(pl.col("facet") != "mean", split="inner_test")
        .group_by("baseline", "metric")
        .agg(pl.col("value").mean().alias("of_facets"), pl.len().alias("n"))
    )
    both = wide.filter(facet="mean", split="inner_test").join(facets.filter(n=4), on=["baseline", "metric"])
    assert both.height == 44
    off = (both["value"] - both["of_facets"]).abs()
    rounding = pl.Series(np.where(both["metric"] == "avg_rank_position", 0.13, 0.0151))
    assert (off <= rounding).all()


def test_the_console_says_which_rows_are_whose(report: Path, storage: Path):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(console_table(results(report), pl.read_parquet(report / "comparisons.parquet"), storage))
    text = console.export_text()
    assert "This run, weights: random (seed 1)" in text
    assert text.index("This run") < text.index("Reference rows of this run") < text.index("The paper's rows")
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_the_page_shows_the_dataset_in_figures_trees_and_samples(report: Path, museum):
    page = (report / "report.html").read_text()
    wanted = ["items_per_provider", "tags_per_facet", "facets_per_image", "tags_per_image", "images_per_tag"]
    wanted += ["sunburst_object_types", "sunburst_subjects", "tag_sizes", "balance"]
    assert [name for name in wanted if f'data-figure="figure-{name}"' not in page] == []
    sizes = dict(museum.tags.select("tag_id", "n_images").iter_rows())
    assert f"<li>amphorae ({sizes['300100003']:,})" in page


def test_a_records_tags_become_a_tree_with_its_own_in_bold():
    above = {"1": None, "2": "1", "3": "1", "4": None}
    names = {"1": "metal", "2": "bronze", "3": "iron", "4": "wood"}
    found = tree(["2", "1", "4"], {"2", "4"}, above, names)
    assert found == (Term("metal", False, (Term("bronze", True, ()),)), Term("wood", True, ()))


def test_tags_are_counted_by_their_images():
    rows = [("materials", 10), ("materials", 19), ("materials", 20), ("subjects", 99)]
    tags = pl.DataFrame(rows, schema=["facet", "n_images"], orient="row")
    chart = images_per_tag(tags)
    assert [(bar.name, bar.x, bar.y) for bar in chart.data] == [
        ("Materials", ("10–19", "20–49", "50–99"), (2, 1, 0)),
        ("Subjects", ("10–19", "20–49", "50–99"), (0, 0, 1)),
    ]


def test_providers_are_ranked_by_distance_with_their_intervals():
    rows = [
        {"data_provider": name, "extractor": "x", "n": 5, "share": 0.1, "frechet_to_whole": value}
        | {"low": value - 1, "high": value + 2, "eligible": name != "C", "chosen": 1 if name == "A" else None}
        for name, value in (("A", 9.0), ("B", 30.0), ("C", 20.0))
    ]
    chart = ranking_chart(PROVIDER_DISTANCES.frame(rows))
    assert list(chart.layout.yaxis.categoryarray) == ["A", "C", "B"]  # from below
    bars = {bar.name: bar for bar in chart.data}
    assert bars["chosen as outer test"].y == ("A",)
    assert (bars["eligible"].error_x.array, bars["eligible"].error_x.arrayminus) == ((2.0,), (1.0,))


def test_many_lines_stay_apart():
    looks = [tuple(line_of(number).values()) for number in range(20)]
    assert len(set(looks)) == 20


def test_a_reader_sees_which_rows_beat_the_prior(report: Path, storage: Path):
    comparisons = COMPARISONS.read(report / "comparisons.parquet")
    found = standings(comparisons)
    values = {
        row["baseline"]: row["value"]
        for row in results(report)
        .filter(split="inner_test", facet="mean", metric="r_precision", policy="ignore_unseen")
        .iter_rows(named=True)
    }
    assert found["softmax", "inner_test"].verdict == "better"
    softmax = found["softmax", "inner_test"].differences["label_prior"]
    assert softmax.difference == pytest.approx(values["softmax"] - values["label_prior"], rel=1e-4)
    assert softmax.verdict == "better"
    assert found["multilabel_materials", "inner_test"].facet == "materials"
    rows = {row.name: row.cells for row in prior_table(comparisons).rows}
    assert (rows["Softmax"][0].text, rows["Softmax"][3].text) == (points(softmax.difference), "better")
    assert "Materials head (materials alone)" in rows
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(console_table(results(report), comparisons, storage))
    line = [line for line in console.export_text().splitlines() if line.startswith("Softmax")][-1]
    interval = f"{points(softmax.difference)} ({points(softmax.low)}…{points(softmax.high)}) ✓"
    assert interval in line


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.01, 0.02, "better"), (-0.02, -0.01, "worse"), (-0.01, 0.02, "not surely")]
)
def test_a_row_is_better_than_the_prior_when_its_whole_interval_is(low, high, verdict):
    assert Difference("softmax", "label_prior", "inner_test", "mean", (low + high) / 2, low, high).verdict == verdict


def test_only_the_rows_that_were_asked_for_are_scored(storage: Path, tmp_path: Path):
    for name in ("dataset", "models"):
        (tmp_path / name).symlink_to(storage / name)
    shutil.copytree(storage / "predictions" / "softmax", tmp_path / "predictions" / "softmax")
    earlier = tmp_path / "predictions" / "earlier" / "inner_test" / "materials.parquet"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"of another split")
    scored = evaluate_benchmark(tmp_path, FAST, ["softmax"])
    assert set(scored.results["baseline"]) == {"softmax", "label_prior", "provider_alone", "oracle"}
    assert set(scored.comparisons["first"]) == {"softmax"}
    with pytest.raises(EvaluationError, match="no predictions of multilabel; train it first"):
        evaluate_benchmark(tmp_path, FAST, ["softmax", "multilabel"])


def test_two_reports_of_one_run_are_the_same_bytes(report: Path, storage: Path, tmp_path: Path):
    write_report(storage, tmp_path, FAST)
    for name in ("results.parquet", "comparisons.parquet", "tables.md", "report.html"):
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes()


def test_compare_gives_the_difference_of_the_results(report: Path, storage: Path):
    rows = compare(
        storage / "predictions" / "softmax", storage / "predictions" / "clip_zero_shot", storage / "dataset", FAST
    )
    found = results(report).filter(policy="ignore_unseen", metric="r_precision", split="inner_test", facet="mean")
    value = dict(found.select("baseline", "value").iter_rows())
    one = rows.filter(split="inner_test", facet="mean", metric="r_precision").row(0, named=True)
    assert one["difference"] == pytest.approx(value["softmax"] - value["clip_zero_shot"], rel=1e-4)
    assert one["low"] > 0
    assert one["p_value"] < 0.05


def test_a_tag_is_plausible_only_where_a_person_accepted_it(storage: Path, tmp_path: Path):
    for name in ("dataset", "predictions", "tags.parquet"):
        (tmp_path / name).symlink_to(storage / name)
    loaded = load_dataset(storage / "dataset")
    before = show_examples(tmp_path, loaded, "clip_zero_shot", FAST)
    example, tag = next(
        (e, s.tag_id) for e in before for s in e.suggestions["materials"] if s.judgement in (NEAR, WRONG, NOT_ANNOTATED)
    )
    decision = {"record_id": example.record_id, "tag_id": tag, "image_id": "0", "who": "MC"}
    rows = [
        decision | {"decision_id": "1", "accepted": True, "at": datetime(2026, 1, 1, tzinfo=UTC)},
        decision
        | {"decision_id": "2", "accepted": False, "tag_id": "300400001", "at": datetime(2026, 1, 1, tzinfo=UTC)},
    ]
    CATALOGUER_DECISIONS.write(CATALOGUER_DECISIONS.frame(rows), tmp_path / "cataloguer_decisions.parquet")
    after = show_examples(tmp_path, loaded, "clip_zero_shot", FAST)
    changed = {
        (e.record_id, new.tag_id, new.judgement)
        for e, was in zip(after, before, strict=True)
        for facet in e.suggestions
        for new, old in zip(e.suggestions[facet], was.suggestions[facet], strict=True)
        if new != old
    }
    assert changed == {(example.record_id, tag, PLAUSIBLE)}


@pytest.mark.parametrize(
    ("tag", "right", "judgement"),
    [
        (1, {0, 1}, CORRECT),
        (2, {0, 1}, NEAR),  # sibling
        (5, {0, 1}, NEAR),  # narrower
        (6, {0, 1, 5}, NEAR),  # cousin
        (4, {0, 1}, WRONG),
        (3, {0, 1}, WRONG),
        (1, set(), NOT_ANNOTATED),
    ],
)
def test_suggestions_are_judged_by_their_place_in_the_tree(tag, right, judgement):
    # 0 > 1 > 5, 0 > 2 > 6, 3 > 4
    parents = np.array([-1, 0, 0, -1, 3, 1, 2])
    assert judge(tag, right, parents) == judgement


def test_text_for_latex_is_escaped():
    from ml.report.tables import HeadCell, ShownTable

    table = ShownTable("x", "50 % of a_b & c", ((HeadCell("Row"),),))
    assert r"50 \% of a\_b \& c" in render("tables.tex", tables=[table])
    assert "50 % of a_b & c" in render("tables.md", tables=[table])


CHANCE = {
    "random towers": {"network": {"library": "timm", "weights": None}, "weights": "random (seed 0)"},
    "real towers, new layers between them": {"network": {"library": "timm", "weights": {"name": "x"}}},
    "open_clip without weights": {"network": {"library": "open_clip", "weights": None}},
    "before cards": {"weights": "random (seed 0)"},
}


@pytest.mark.parametrize("model", CHANCE.values(), ids=CHANCE)
def test_a_zero_shot_row_of_towers_that_are_no_pair_ranks_by_chance(model: dict):
    pair = {"network": {"library": "open_clip", "weights": {"name": "ViT-B-16:openai"}}}
    assert rows_by_chance({"clip_zero_shot": model, "clip_1_tag": model, "softmax": model}) == ["clip_zero_shot"]
    assert rows_by_chance({"clip_zero_shot": pair}) == []


def test_tables_say_by_chance_in_place_of_figures(report: Path):
    frame, pairs = results(report), COMPARISONS.read(report / "comparisons.parquet")
    for table in paper_tables(frame, pairs, {}, ["softmax"]):
        (row,) = [row for row in table.rows if row.name.startswith("Softmax (by chance")]
        assert "never trained together" in row.name
        assert {cell.text for cell in row.cells} == {"–"}
        other = next(row for row in table.rows if row.name.startswith("Multi-label"))
        assert "–" not in {cell.text for cell in other.cells[:4]}
    assert "Softmax" not in [row.name for row in prior_table(pairs, ["softmax"]).rows]
    assert "Softmax" in [row.name for row in prior_table(pairs).rows]


def test_the_terminal_names_rows_by_chance_below_the_table(report: Path, storage: Path):
    pairs = COMPARISONS.read(report / "comparisons.parquet")
    console = Console(file=io.StringIO(), width=80)
    console.print(console_table(results(report), pairs, storage))
    said = console.file.getvalue()
    line = next(line for line in said.splitlines() if line.startswith("CLIP zero-shot"))
    assert not re.search(r"\d", line)
    assert "– CLIP zero-shot: by chance: its two towers were never trained together" in said
