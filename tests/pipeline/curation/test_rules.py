"""Rules on records."""

import polars as pl
import pytest

from pipeline.curation.rules import (
    RECORD_RULES,
    Circumstances,
    bare_rights,
    excluded_provider,
    no_thumbnail,
    not_open,
    over_provider_cap,
    reason_of,
    tombstoned,
)
from pipeline.settings import CurationSettings
from pipeline.tables import TOMBSTONES


def given(tombstones=None, **settings):
    return Circumstances(CurationSettings(**settings), TOMBSTONES.empty() if tombstones is None else tombstones)


@pytest.mark.parametrize(
    ("right", "removed"),
    [
        ("http://creativecommons.org/publicdomain/mark/1.0/", False),
        ("https://creativecommons.org/licenses/by/4.0/", False),
        ("http://creativecommons.org/licenses/by-sa/3.0/nl/", False),
        ("http://creativecommons.org/licenses/by-nc/4.0/", True),
        ("http://rightsstatements.org/vocab/InC/1.0/", True),
        ("http://opensource.org/license/mit", False),  # this museum's own list
        (None, True),
    ],
)
def test_only_open_rights_stay(records, right, removed):
    rows = records({"/1/a": []}, rights_uri=right)
    assert not_open(rows, given(more_open_rights=("https://opensource.org/license/mit",))).to_list() == [removed]


def test_schemes_of_rights_do_not_matter():
    assert bare_rights(" https://a.example/b ") == bare_rights("http://a.example/b")


def test_a_withdrawn_record_goes(records):
    gone = TOMBSTONES.frame([{"record_id": "/1/b", "reason": "withdrawn"}])
    assert tombstoned(records({"/1/a": [], "/1/b": []}), given(gone)).to_list() == [False, True]


def test_the_excluded_provider_of_the_paper_goes(records):
    assert excluded_provider(records({"/1/a": []}, data_provider="Mobilier National"), given()).to_list() == [True]
    assert excluded_provider(records({"/1/a": []}, data_provider=None), given()).to_list() == [False]


@pytest.mark.parametrize(("thumbnail", "removed"), [("https://t.example/1", False), ("", True), (None, True)])
def test_a_record_without_thumbnail_goes(records, thumbnail, removed):
    assert no_thumbnail(records({"/1/a": []}, thumbnail_url=thumbnail), given()).to_list() == [removed]


def test_a_cap_keeps_the_same_records_in_any_order(records):
    rows = records({f"/1/{number:02d}": [] for number in range(20)})
    rows = pl.concat([rows, records({f"/2/{number}": [] for number in range(3)}, data_provider="Small")])
    kept = rows.filter(~over_provider_cap(rows, given(max_records_per_provider=5)))
    assert kept["data_provider"].value_counts(sort=True).rows() == [("Museum", 5), ("Small", 3)]
    turned = rows.reverse()
    again = turned.filter(~over_provider_cap(turned, given(max_records_per_provider=5)))
    assert again["record_id"].sort().equals(kept["record_id"].sort())
    fewer = rows.filter(~over_provider_cap(rows, given(max_records_per_provider=4)))
    assert set(fewer["record_id"]) <= set(kept["record_id"])
    assert not over_provider_cap(rows, given()).any()


def test_every_rule_has_a_reason():
    assert all(reason_of(rule).endswith((".", ").")) for rule in RECORD_RULES)
