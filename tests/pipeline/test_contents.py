"""Files count by their bytes: all that a setting names, and each is read once while it stays as it is."""

import os
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline import contents
from pipeline.contents import MISSING, ContentsError, by_content, content_hash
from pipeline.files import sha256_of
from pipeline.settings import Settings, full

HOUR_AGO = 3_600


def old(file: Path, text: str) -> Path:
    """A file that nobody has touched for an hour, except for its change time, which no program can set."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    os.utime(file, (file.stat().st_mtime - HOUR_AGO,) * 2)
    return file


def named_files(section: type[BaseModel], name: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting whose type holds a path: its dotted name and its type."""
    for key, field in section.model_fields.items():
        kinds = [field.annotation, *typing.get_args(field.annotation)]
        if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
            for kind in kinds:
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    yield from named_files(kind, f"{name}{key}.")
        elif "Path" in repr(field.annotation):
            yield f"{name}{key}", field.annotation


def test_the_settings_that_name_files_are_known():
    assert {name for name, _ in named_files(Settings)} == {
        "museum", "published", "vocabulary.dumps", "vocabulary.rules_file", "vocabulary.label_files",
        "vocabulary.candidate_files",
        "curation.corrections_file", "images.takedown_file", "features.weights", "splits.previous",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), [one for one in named_files(Settings) if "." in one[0]])
def test_each_of_them_counts_by_its_bytes(name: str, kind: Any, tmp_path: Path):
    section, key = name.split(".")
    file = old(tmp_path / "a.csv", "one")
    several = typing.get_origin(kind) is tuple
    values = full().model_dump()
    values[section][key] = (file,) if several else file
    named = getattr(Settings.model_validate(values), section)
    before = by_content(named, section)
    assert by_content(named, section) == before
    old(file, "two")
    assert by_content(named, section) != before
    old(file, "one")
    assert by_content(named, section) == before


def test_no_setting_hides_a_path_in_a_text():
    """A path that is typed as text would not be read."""
    texts = [
        f"{section}.{key}"
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key, one in field.annotation.model_fields.items()
        if "Path" not in repr(one.annotation) and any(word in key for word in ("file", "folder", "path"))
    ]
    assert texts == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda one: st.lists(one) | st.dictionaries(st.text(), one),
    )
)
def test_values_without_files_are_themselves(value: Any):
    assert by_content(value, "name") == value


def test_a_file_is_read_once_while_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    reads: list[Path] = []
    monkeypatch.setattr(contents, "sha256_of", lambda file: reads.append(file) or sha256_of(file))
    monkeypatch.setattr(contents, "SETTLED_NS", -1)
    one, two = old(tmp_path / "folder" / "one", "1"), old(tmp_path / "folder" / "two", "2")
    before = content_hash(tmp_path / "folder")
    assert before == sha256_of(tmp_path / "folder") == content_hash(tmp_path / "folder")
    assert reads == [one, two]
    old(two, "3")  # the same size and the same times, as far as a program can set them
    assert content_hash(tmp_path / "folder") == sha256_of(tmp_path / "folder") != before
    assert reads == [one, two, two]


def test_a_young_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two changes within one tick of the clock leave the same times."""
    monkeypatch.setattr(contents, "stamp_of", lambda file: (1, 2, 3, 4))
    monkeypatch.setattr(contents.time, "time_ns", lambda: 5)
    file = tmp_path / "file"
    for text in ("a", "b"):
        file.write_text(text)
        assert content_hash(file) == sha256_of(file)


def test_a_missing_file_is_another_value_and_an_unreadable_one_is_told(tmp_path: Path):
    assert content_hash(tmp_path / "gone") == MISSING
    with pytest.raises(ContentsError, match=r"The setting images\.takedown_file names .*, which cannot be read: "):
        by_content(Unreadable(tmp_path), "images.takedown_file")


class Unreadable(type(Path())):
    """A path that the operating system refuses."""

    def is_dir(self) -> bool:
        raise PermissionError(13, "Permission denied")
