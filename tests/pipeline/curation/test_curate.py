"""Curation as a whole, on a small tree."""

from datetime import date

import polars as pl
import pytest

from pipeline.curation.curate import curate_usable
from pipeline.settings import CurationSettings
from pipeline.tables import CORRECTIONS, CURATION_REPORT, RECORD_TAGS, SELECTED_RECORDS, TAGS, TOMBSTONES

METAL, ALLOY, BRONZE, BRASS, PAINTINGS, PORTRAITS = (
    "300000010",
    "300000012",
    "300000013",
    "300000014",
    "300000020",
    "300000040",
)


def tags_of(record_tags, record_id):
    """{tag: stated} of one record."""
    return dict(record_tags.filter(record_id=record_id).select("tag_id", "stated").iter_rows())


def effects(report, rule):
    """(records before, after, pairs before, after) of the rule's rows."""
    columns = ("records_before", "records_after", "record_tags_before", "record_tags_after")
    return report.filter(rule=rule).select(columns).rows()


def test_tags_are_closed_upwards_and_the_stated_ones_marked(select, records):
    found = select(records({"/1/a": [BRONZE, METAL], "/1/b": ["300000011"]}))
    assert tags_of(found.record_tags, "/1/a") == {BRONZE: True, ALLOY: False, METAL: True}
    assert tags_of(found.record_tags, "/1/b") == {METAL: True}  # a guide term stands for the tag above


def test_a_rare_tag_goes_and_its_records_keep_the_tags_above(select, records):
    found = select(records({"/1/a": [BRONZE], "/1/b": [BRASS], "/1/c": [BRASS], "/1/d": [PAINTINGS]}), minimum=2)
    assert tags_of(found.record_tags, "/1/a") == {ALLOY: True, METAL: False}
    assert tags_of(found.record_tags, "/1/b") == {BRASS: True, ALLOY: False, METAL: False}
    assert found.selected_records["record_id"].to_list() == ["/1/a", "/1/b", "/1/c"]  # paintings were alone
    assert found.removed_tags.rows() == [
        (1, BRONZE, "materials", "term 13", 1),
        (1, PAINTINGS, "object_types", "term 20", 1),
    ]
    assert effects(found.report, "few_images") == [(4, 4, 10, 8), (3, 3, 8, 8)]


def test_every_step_says_what_it_removed(select, records):
    rows = pl.concat(
        [
            records({"/1/a": [BRONZE, "300000001"], "/1/b": ["300000030", "300000042"], "/1/c": ["300000050"]}),
            records({"/1/d": [BRONZE]}, rights_uri="http://rightsstatements.org/vocab/InC/1.0/"),
            records({"/1/e": [BRONZE]}, data_provider="Mobilier National"),
            records({"/1/f": [BRONZE]}, thumbnail_url=None),
            records({"/1/g": [BRONZE]}),
        ]
    )
    found = select(rows, tombstones=TOMBSTONES.frame([{"record_id": "/1/g", "reason": "withdrawn"}]))
    assert effects(found.report, "tombstoned") == [(7, 6, 9, 8)]
    assert effects(found.report, "not_open") == [(6, 5, 8, 7)]
    assert effects(found.report, "excluded_provider") == [(5, 4, 7, 6)]
    assert effects(found.report, "no_thumbnail") == [(4, 3, 6, 5)]
    assert effects(found.report, "over_provider_cap") == [(3, 3, 5, 5)]
    assert effects(found.report, "cut 300000001 materials") == [(3, 3, 5, 4)]
    assert effects(found.report, "exclude 300000030") == [(3, 3, 4, 3)]
    assert effects(found.report, "unlisted_subject") == [(3, 3, 3, 2)]
    assert effects(found.report, "outside_facets") == [(3, 3, 2, 1)]
    assert effects(found.report, "closed_upwards") == [(3, 3, 1, 3)]
    assert effects(found.report, "no_tags") == [(3, 1, 3, 3), (1, 1, 3, 3)]
    assert found.report["position"].to_list() == list(range(1, found.report.height + 1))
    assert found.report.filter(rule="cut 300000001 materials")["reason"].to_list() == ["true of every object"]


def correction(record_id, tag_id, action):
    return {
        "record_id": record_id,
        "tag_id": tag_id,
        "action": action,
        "reason": "r",
        "who": "Ada",
        "date": date(2026, 11, 23),
        "source": "file",
    }


def test_corrections_are_applied_and_counted(select, records):
    rows = records({"/1/a": [BRONZE], "/1/b": [BRONZE, PAINTINGS], "/1/c": [PAINTINGS]})
    corrections = CORRECTIONS.frame(
        [
            correction("/1/a", BRONZE, "remove"),
            correction("/1/a", PORTRAITS, "add"),
            correction("/1/b", METAL, "remove"),
            correction("/1/c", BRASS, "remove"),  # it never had it
        ]
    )
    found = select(rows, corrections=corrections)
    # only the removed tag goes; what stands above stays, and is now what the record states
    assert tags_of(found.record_tags, "/1/a") == {ALLOY: True, METAL: False, PORTRAITS: True}
    # a removed tag takes the tags below it along
    assert tags_of(found.record_tags, "/1/b") == {PAINTINGS: True}
    assert tags_of(found.record_tags, "/1/c") == {PAINTINGS: True}
    assert effects(found.report, "corrections_added") == [(3, 3, 4, 5)]
    assert effects(found.report, "corrections_removed") == [(3, 3, 9, 5)]
    assert found.ignored_corrections.is_empty()


def test_corrections_that_cannot_be_applied_are_listed(select, records):
    rows = pl.concat([records({"/1/a": [BRONZE]}), records({"/1/b": [BRONZE]}, thumbnail_url=None)])
    corrections = CORRECTIONS.frame(
        [
            correction("/1/a", "300999999", "add"),
            correction("/1/b", BRONZE, "remove"),
            correction("/9/z", BRONZE, "remove"),
        ]
    )
    found = select(rows, corrections=corrections)
    assert found.ignored_corrections.select("record_id", "problem").rows() == [
        ("/1/a", "the tag is no tag of the four facets, or no record reaches it"),
        ("/1/b", "a rule on records removed the record"),
        ("/9/z", "the record was not harvested"),
    ]


def test_the_order_of_the_records_does_not_matter(select, records):
    rows = records({"/1/a": [BRONZE], "/1/b": [BRASS, PORTRAITS], "/1/c": [PAINTINGS]})
    one, other = select(rows), select(rows.reverse())
    for name in ("selected_records", "record_tags", "report"):
        assert getattr(one, name).equals(getattr(other, name))


def test_no_record_at_all_is_no_error(select, records):
    found = select(records({}))
    assert found.selected_records.is_empty()
    assert found.record_tags.is_empty()


@pytest.fixture
def usable(select, records, tree):
    def run(stated, images, minimum=2):
        record_tags = select(records(stated)).record_tags
        frame = pl.DataFrame(images, schema={"record_id": pl.String, "image_id": pl.String}, orient="row")
        return curate_usable(record_tags, frame, tree, CurationSettings(min_images_per_tag=minimum))

    return run


def test_exact_duplicates_count_once(usable):
    stated = {"/1/a": [BRONZE], "/1/b": [BRONZE], "/1/c": [BRASS], "/1/d": [BRASS]}
    found = usable(stated, [("/1/a", "x"), ("/1/b", "x"), ("/1/c", "y"), ("/1/d", "z")])
    assert tags_of(found.record_tags, "/1/a") == {ALLOY: True, METAL: False}
    assert found.tags.select("tag_id", "n_images", "parent", "depth", "path").rows() == [
        (METAL, 3, None, 1, [METAL]),
        (ALLOY, 3, METAL, 2, [METAL, ALLOY]),
        (BRASS, 2, ALLOY, 3, [METAL, ALLOY, BRASS]),
    ]


def test_a_record_without_usable_image_goes_and_several_views_count(usable):
    found = usable({"/1/a": [BRONZE], "/1/b": [PAINTINGS]}, [("/1/a", "x"), ("/1/a", "y")])
    assert set(found.record_tags["record_id"]) == {"/1/a"}
    assert found.tags["n_images"].to_list() == [2, 2, 2]
    assert effects(found.report, "no_usable_image") == [(2, 1, 4, 3)]


def test_results_fit_their_tables(select, records, usable):
    first = select(records({"/1/a": [BRONZE, PAINTINGS], "/1/b": [PORTRAITS]}))
    second = usable({"/1/a": [BRONZE], "/1/b": [BRONZE]}, [("/1/a", "x"), ("/1/b", "y")])
    SELECTED_RECORDS.conform(first.selected_records)
    for frame in (first.record_tags, second.record_tags):
        assert RECORD_TAGS.conform(frame).to_pylist() == frame.to_dicts()  # sorted by its key already
    TAGS.conform(second.tags)
    CURATION_REPORT.conform(pl.concat([first.report, second.report]))
