"""The cache of answers by id and day."""

from datetime import date

import pytest

from pipeline.vocabulary.cache import CacheError, DatedCache


def at(day: str):
    return lambda: date.fromisoformat(day)


def test_answers_survive_and_grow_old(tmp_path):
    file = tmp_path / "answers.jsonl"
    DatedCache(file, 30, today=at("2026-01-01")).add({"a": {"x": "line\u2028separator"}, "b": None})
    again = DatedCache(file, 30, today=at("2026-01-31"))
    assert again["a"] == {"x": "line\u2028separator"}
    assert "b" in again
    assert again["b"] is None
    assert "a" not in DatedCache(file, 30, today=at("2026-02-01"))


def test_a_torn_last_line_is_cut_off_and_the_rest_kept(tmp_path):
    file = tmp_path / "answers.jsonl"
    DatedCache(file, 30, today=at("2026-01-01")).add({"a": 1, "b": 2})
    file.write_bytes(file.read_bytes()[:-9])
    again = DatedCache(file, 30, today=at("2026-01-01"))
    assert ("a" in again, "b" in again) == (True, False)
    again.add({"b": 3})
    assert DatedCache(file, 30, today=at("2026-01-01"))["b"] == 3


def test_a_damaged_line_is_told(tmp_path):
    file = tmp_path / "answers.jsonl"
    DatedCache(file, 30, today=at("2026-01-01")).add({"a": 1})
    file.write_bytes(b"{}\n" + file.read_bytes())
    with pytest.raises(CacheError, match="line 1 is damaged"):
        DatedCache(file, 30, today=at("2026-01-01"))
