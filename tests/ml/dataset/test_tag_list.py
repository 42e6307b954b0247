"""The tag list as a model reads it."""

import json
from pathlib import Path

import pytest

from ml.dataset.tag_list import FacetTags, TagListError, english_label, load_tag_list


def test_the_list_is_read_in_the_papers_order_of_facets(museum: Path):
    tags = load_tag_list(museum)
    assert list(tags.facets) == ["object_types", "materials", "classifications", "subjects"]
    types = tags.facets["object_types"]
    assert types.labels == ("vessels", "bowls", "jars", "textiles", "carpets", "knotted carpets")
    assert types.parents == (-1, 0, 0, -1, 3, 4)
    assert types.depths.tolist() == [0, 1, 1, 0, 1, 2]
    assert types.paths[5] == (3, 4, 5)


def test_a_tag_whose_parent_left_the_list_hangs_on_the_next_ancestor(museum: Path, tmp_path: Path):
    content = json.loads((museum / "tag_list.json").read_text())
    types = content["facets"]["object_types"]
    content["facets"]["object_types"] = [tag for tag in types if tag["label"] != "carpets"]
    (tmp_path / "tag_list.json").write_text(json.dumps(content))
    assert load_tag_list(tmp_path).facets["object_types"].parents == (-1, 0, 0, -1, 3)


def test_an_empty_facet_is_left_out(museum: Path, tmp_path: Path):
    content = json.loads((museum / "tag_list.json").read_text())
    content["facets"]["subjects"] = []
    (tmp_path / "tag_list.json").write_text(json.dumps(content))
    assert "subjects" not in load_tag_list(tmp_path).facets


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "There is no tag list at"), ("{", "cannot be read"), ("{}", "cannot be read")],
)
def test_a_bad_list_is_one_sentence(tmp_path: Path, text: str | None, message: str):
    if text is not None:
        (tmp_path / "tag_list.json").write_text(text)
    with pytest.raises(TagListError, match=message):
        load_tag_list(tmp_path)


def test_a_cycle_is_an_error():
    with pytest.raises(TagListError, match="its own ancestor"):
        _ = FacetTags("materials", ("1", "2"), ("a", "b"), (1, 0), (1, 1)).paths


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"label": "grues", "labels": {"en": "cranes (birds)", "ca": "grues"}}, "cranes"),
        ({"label": "gerra", "labels": {"ca": "gerra"}}, "gerra"),
        ({"label": "(unnamed)", "labels": {}}, "(unnamed)"),
    ],
)
def test_labels_are_english_without_qualifier(row: dict, label: str):
    assert english_label(row) == label
