"""The dataset in numbers and figures."""

import json
import re

import polars as pl
import pytest

from pipeline.curation import statistics
from pipeline.curation.statistics_page import small_tables, write_page
from pipeline.tables import RECORD_TAGS, TAGS


@pytest.fixture
def tables():
    tags = TAGS.frame(
        [
            {"tag_id": "m", "facet": "materials", "depth": 1, "path": ["m"], "labels": [], "n_images": 3},
            {
                "tag_id": "b",
                "facet": "materials",
                "parent": "m",
                "depth": 2,
                "path": ["m", "b"],
                "labels": [{"language": "en", "text": "bronze"}],
                "n_images": 2,
            },
            {"tag_id": "p", "facet": "subjects", "depth": 1, "path": ["p"], "labels": [], "n_images": 1},
        ]
    )
    record_tags = RECORD_TAGS.frame(
        [
            {"record_id": "/1/a", "facet": "materials", "tag_id": "b", "stated": True},
            {"record_id": "/1/a", "facet": "materials", "tag_id": "m", "stated": False},
            {"record_id": "/1/a", "facet": "subjects", "tag_id": "p", "stated": True},
            {"record_id": "/1/b", "facet": "materials", "tag_id": "m", "stated": True},
        ]
    )
    images = pl.DataFrame({"record_id": ["/1/a", "/1/a", "/1/b"], "view": [0, 1, 0]})
    records = pl.DataFrame({"record_id": ["/1/a", "/1/b", "/1/c"], "data_provider": ["Z", "A", "A"]})
    return tags, record_tags, images, records


def test_the_tables_of_the_paper(tables):
    tags, record_tags, images, records = tables
    assert statistics.items_per_provider(images, records).rows() == [("Z", 2), ("A", 1)]
    assert statistics.tags_per_image(record_tags, images).rows() == [
        ("materials", 1, 1),
        ("materials", 2, 2),
        ("subjects", 1, 2),
    ]
    assert statistics.tags_per_image(record_tags, images, stated=True).rows() == [
        ("materials", 1, 3),
        ("subjects", 1, 2),
    ]
    assert statistics.facets_per_image(record_tags, images).rows() == [(1, 1), (2, 2)]
    assert statistics.images_per_tag(tags).rows() == [
        ("materials", 1, "m", 3),
        ("materials", 2, "b", 2),
        ("subjects", 1, "p", 1),
    ]
    assert statistics.tags_per_facet(tags).rows() == [
        ("object_types", 0, 0, 0, 0),
        ("materials", 2, 1, 2, 1),
        ("classifications", 0, 0, 0, 0),
        ("subjects", 1, 1, 1, 1),
    ]


def test_the_summary_is_json(tables):
    found = json.loads(json.dumps(statistics.summary(*tables)))
    assert (found["n_images"], found["n_records"], found["n_providers"], found["n_tags"]) == (3, 2, 2, 3)


def test_figures_draw_what_the_tables_say(tables):
    figures = statistics.figures(*tables)
    assert list(figures) == [
        "items_per_provider",
        "tags_per_facet",
        "facets_per_image",
        "tags_per_image",
        "images_per_tag",
        "sunburst_materials",
        "sunburst_subjects",
    ]
    drawn = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    assert drawn["items_per_provider"]["data"][0]["y"] == ["Z", "A"]
    rings = drawn["sunburst_materials"]["data"][0]
    assert (rings["ids"], rings["parents"], rings["labels"]) == (["m", "b"], ["", "m"], ["aat:m", "bronze"])
    assert rings["values"] == [1, 2]  # images that state the tag itself
    assert rings["customdata"] == [3, 2]


def test_the_page_holds_every_figure_and_is_the_same_twice(tables, tmp_path):
    drawn = statistics.figures(*tables)
    for name in ("one.html", "two.html"):
        write_page(tmp_path / name, drawn, "The dataset in figures", "3 images & 3 tags.")
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert [name for name in drawn if page.count(f'<section id="{name}">') != 1] == []
    assert len(re.findall('<div class="static"[^>]*><svg ', page)) == len(drawn)  # for paper, without script
    assert ">rank of the tag in its facet</text>" in page
    assert {"items_per_provider", "images_per_tag", "sunburst_materials", "sunburst_subjects"} <= set(drawn)
    assert "3 images &amp; 3 tags." in page
    assert (tmp_path / "two.html").read_text(encoding="utf-8") == page


def test_the_small_tables_have_bars(tables):
    shown = small_tables(*tables)
    assert shown["items_per_provider"].splitlines() == [
        "| data_provider | n_images |  |",
        "| --- | --- | --- |",
        f"| Z | 2 | {'█' * 24} |",
        f"| A | 1 | {'█' * 12} |",
    ]
    assert shown["images_per_tag"].splitlines()[2:] == ["| materials | 2 | 3 | 2 | 2 |", "| subjects | 1 | 1 | 1 | 1 |"]
