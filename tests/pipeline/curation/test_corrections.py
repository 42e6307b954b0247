"""The curators' file and the cataloguers' decisions."""

from datetime import UTC, date, datetime

import pytest

from pipeline.curation.corrections import (
    CorrectionsError,
    all_corrections,
    decisions_as_corrections,
    read_corrections,
    rejected_tags,
)
from pipeline.tables import CATALOGUER_DECISIONS, CORRECTIONS, RECORD_TAGS, TAGS

HEADER = "record_id,tag_id,action,reason,who,date\n"


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "corrections.csv"
        path.write_text(HEADER + content, encoding="utf-8")
        return path

    return write


def test_rows_are_read_with_ids_in_any_spelling(file):
    rows = read_corrections(
        file(
            '/1/b,300010957,add,"bronze, not brass",Ada,2026-11-23\n'
            "/1/a,http://vocab.getty.edu/aat/300010946,remove,seen,Ada,2026-11-22\n"
        )
    )
    assert rows.rows() == [
        ("/1/a", "300010946", "remove", "seen", "Ada", date(2026, 11, 22), "file"),
        ("/1/b", "300010957", "add", "bronze, not brass", "Ada", date(2026, 11, 23), "file"),
    ]
    assert CORRECTIONS.conform(rows).num_rows == 2


def test_no_file_is_no_corrections():
    assert read_corrections(None).is_empty()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("/1/a,300010957,delete,r,Ada,2026-11-23\n", r"corrections.csv: line 2 has the action 'delete'"),
        ("/1/a,bronze,add,r,Ada,2026-11-23\n", "line 2 has the tag 'bronze', which is no AAT id"),
        ("vase,300010957,add,r,Ada,2026-11-23\n", "line 2 has the record 'vase'"),
        ("/1/a,300010957,add,r,Ada,23.11.2026\n", "line 2 has the date '23.11.2026'"),
        ("/1/a,300010957,add,,,2026-11-23\n", "line 2 has no reason, who"),
        ("/1/a,300010957\n", "line 2 has 2 fields, the header has 6"),
        (
            "/1/a,300010957,add,r,Ada,2026-11-23\n/1/a,300010957,remove,r,Bo,2026-11-23\n",
            "line 3 repeats the record and tag of line 2",
        ),
        ("x,1,add,r,Ada,2026-11-23\n" * 7, r"line 6 has the tag '1', which is no AAT id and 2 more\. Correct the file"),
    ],
)
def test_bad_lines_are_told_with_their_number(file, content, message):
    with pytest.raises(CorrectionsError, match=message):
        read_corrections(file(content))


def test_a_file_with_other_columns_or_none_at_all_is_told(tmp_path):
    (tmp_path / "c.csv").write_text("record,tag\n", encoding="utf-8")
    with pytest.raises(CorrectionsError, match="line 1 lacks record_id"):
        read_corrections(tmp_path / "c.csv")
    with pytest.raises(CorrectionsError, match="cannot be read"):
        read_corrections(tmp_path / "none.csv")


def decision(number, accepted, hour, record_id="/1/a", model="multilabel"):
    return {
        "decision_id": str(number),
        "record_id": record_id,
        "image_id": "x",
        "tag_id": "300010957",
        "accepted": accepted,
        "who": "Bo",
        "at": datetime(2026, 11, 23, hour, tzinfo=UTC),
        "model": model,
    }


def test_of_several_decisions_the_latest_counts_and_uploads_have_no_record():
    decisions = CATALOGUER_DECISIONS.frame(
        [decision(2, False, 12), decision(1, True, 9), decision(3, True, 13, record_id=None)]
    )
    rows = decisions_as_corrections(decisions)
    assert rows.rows() == [
        (
            "/1/a",
            "300010957",
            "remove",
            "decided in the assistant (multilabel)",
            "Bo",
            date(2026, 11, 23),
            "cataloguer_decisions",
        )
    ]
    assert CORRECTIONS.conform(rows).num_rows == 1


def test_the_curators_file_counts_over_decisions(file):
    of_file = read_corrections(file("/1/a,300010957,add,r,Ada,2026-11-23\n"))
    of_decisions = decisions_as_corrections(
        CATALOGUER_DECISIONS.frame([decision(1, False, 9, model=None), decision(2, True, 9, record_id="/1/b")])
    )
    both = all_corrections(of_file, of_decisions)
    assert both.select("record_id", "action", "source").rows() == [
        ("/1/a", "add", "file"),
        ("/1/b", "add", "cataloguer_decisions"),
    ]


def test_a_removed_tag_is_a_negative_with_all_tags_below_it():
    metal, bronze, glass = "300010900", "300010957", "300010797"
    tags = TAGS.frame(
        [
            {"tag_id": metal, "facet": "materials", "path": [metal], "depth": 1, "n_images": 20},
            {"tag_id": bronze, "facet": "materials", "path": [metal, bronze], "depth": 2, "n_images": 10},
            {"tag_id": glass, "facet": "materials", "path": [glass], "depth": 1, "n_images": 10},
        ]
    )
    corrections = CORRECTIONS.frame(
        [
            {"record_id": "/1/a", "tag_id": metal, "action": "remove"},
            {"record_id": "/1/a", "tag_id": glass, "action": "add"},
            {"record_id": "/1/b", "tag_id": bronze, "action": "remove"},
            {"record_id": "/1/b", "tag_id": "300000000", "action": "remove"},  # no tag of the dataset
            {"record_id": "/1/c", "tag_id": glass, "action": "remove"},  # could not be applied: the record keeps it
        ]
    )
    record_tags = RECORD_TAGS.frame([{"record_id": "/1/c", "facet": "materials", "tag_id": glass, "stated": True}])
    assert rejected_tags(corrections, tags, record_tags).rows() == [
        ("/1/a", "materials", metal, True),
        ("/1/a", "materials", bronze, False),
        ("/1/b", "materials", bronze, True),
    ]
