"""The history stores each file once, finds sets by day and hash, and refuses what is missing or was changed."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.history import HistoryError, SplitSet, add, find, prune, restore, split_sets

SPLITS = (b"one", b"two", b"three")
A, B, C = (hashlib.sha256(content).hexdigest() for content in SPLITS)


def described(splits: str, day: int) -> SplitSet:
    return SplitSet(f"2026-01-{day:02d}T12:00:00+00:00", splits, 340, 3, "2026-01-01T00:00:00+00:00", {}, {})


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Three sets of three days; a page is common to all, one table changes."""
    files = {"pages/toy/000-whole/page.gz": tmp_path / "page.gz", "concepts.parquet": tmp_path / "concepts.parquet"}
    for day, (splits, content) in enumerate(zip((A, B, C), SPLITS, strict=True), start=1):
        (tmp_path / "page.gz").write_bytes(b"page")
        (tmp_path / "concepts.parquet").write_bytes(b"concepts of day %d" % day)
        (tmp_path / "splits.parquet").write_bytes(content)
        add(tmp_path / "history", described(splits, day), files, tmp_path / "splits.parquet")
    return tmp_path / "history"


def test_a_file_of_several_sets_is_stored_once(history: Path):
    assert [one.splits for one in split_sets(history)] == [A, B, C]
    assert len(list((history / "objects").iterdir())) == 1 + 3 + 3  # the page, three tables, three splits


def test_pages_take_no_room_and_tables_are_copies(history: Path, tmp_path: Path):
    """A table that somebody changes by hand where it lies does not change the history; nobody changes pages."""
    files = split_sets(history)[0].files
    assert (history / "objects" / files["pages/toy/000-whole/page.gz"]).stat().st_nlink == 2
    (tmp_path / "concepts.parquet").write_bytes(b"changed by hand")
    restore(history, split_sets(history)[2], tmp_path / "then")
    assert (tmp_path / "then" / "concepts.parquet").read_bytes() == b"concepts of day 3"


def test_the_same_splits_are_not_added_twice(history: Path, tmp_path: Path):
    again = add(history, described(C, 4), {}, tmp_path / "splits.parquet")
    assert again == split_sets(history)[-1]
    assert len(split_sets(history)) == 3


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("2026-01-01", A), ("2026-01-02", B), ("2027-01-01", C), ("2026-01-02T11:59", A),
        ("2026-01-02T13:59+02:00", A), ("2026-01-02T14:01+02:00", B), (B[:6], B), (C, C),
    ],
)  # fmt: skip
def test_a_set_is_found_by_day_moment_and_hash(history: Path, asked: str, found: str):
    assert find(history, asked).splits == found


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("2025-12-31", rf"^There is no set of splits for 2025-12-31; the latest are: 2026-01-01 {A[:12]}, .*"),
        ("ffffff", "^There is no set of splits for ffffff"),
        ("2026-13-01", "^'2026-13-01' is not a day; write it like 2026-11-28"),
        ("ab", "neither a day such as 2026-11-28 nor the first characters of a hash"),
        ("../../etc", "neither a day"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told(history: Path, asked: str, sentence: str):
    with pytest.raises(HistoryError, match=sentence):
        find(history, asked)


def test_files_come_back_and_a_changed_or_missing_one_is_refused(history: Path, tmp_path: Path):
    one = find(history, "2026-01-01")
    restore(history, one, tmp_path / "then")
    assert (tmp_path / "then" / "concepts.parquet").read_bytes() == b"concepts of day 1"
    assert (tmp_path / "then" / "pages" / "toy" / "000-whole" / "page.gz").read_bytes() == b"page"
    kept = history / "objects" / one.files["concepts.parquet"]
    for spoil in (lambda: kept.write_bytes(b"x"), kept.unlink):
        spoil()
        with pytest.raises(HistoryError, match=rf"{A[:12]} cannot be made again: .* \(concepts.parquet\) is missing"):
            restore(history, one, tmp_path / "again")


def test_old_sets_go_with_what_only_they_need(history: Path, tmp_path: Path):
    assert [one.splits for one in prune(history, 1)] == [A, B]
    assert [one.splits for one in split_sets(history)] == [C]
    assert len(list((history / "objects").iterdir())) == 3
    restore(history, split_sets(history)[0], tmp_path / "then")
    assert prune(history, 1) == []


def test_a_set_may_need_the_splits_of_an_earlier_one(history: Path, tmp_path: Path):
    """Kept splits are listed by their hash, and stay as long as a set needs them."""
    (tmp_path / "splits.parquet").write_bytes(b"new")
    needs = replace(described("d" * 64, 5), files={"given/previous.parquet": A})
    add(history, needs, {}, tmp_path / "splits.parquet")
    prune(history, 1)
    restore(history, split_sets(history)[0], tmp_path / "then")
    assert (tmp_path / "then" / "given" / "previous.parquet").read_bytes() == b"one"
