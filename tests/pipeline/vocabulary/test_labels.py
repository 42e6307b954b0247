"""Further labels from CSV files."""

import polars as pl
import pytest

from pipeline.vocabulary.labels import LABELS_SCHEMA, LabelFileError, add_labels, read_label_files


def test_both_layouts_are_read_with_their_source(tmp_path):
    wide = tmp_path / "catalan.csv"
    wide.write_text("aat_id,label_ca,aat_label_en,via,source\n300010797,Vidre,glass,x,nomisma\n", encoding="utf-8")
    long = tmp_path / "more.csv"
    long.write_text('aat_id,lang,label\n300010797,NL,"glas, helder"\n', encoding="utf-8")
    assert read_label_files([wide, long]).rows() == [
        ("300010797", "ca", "Vidre", "nomisma"),
        ("300010797", "nl", "glas, helder", "more.csv"),
    ]


def test_only_missing_languages_are_filled_and_the_source_is_kept(small):
    further = pl.DataFrame(
        [
            ("300010900", "ca", "metall", "first"),
            ("300010900", "ca", "metalls", "second"),
            ("300010900", "en", "METAL", "first"),
            ("300999999", "ca", "no", "first"),
        ],
        schema=LABELS_SCHEMA,
        orient="row",
    )
    metal = add_labels(small.concepts(["300010900"]), further).filter(concept_id="300010900").to_dicts()[0]
    assert metal["labels"] == [
        {"language": "ca", "text": "metall"},
        {"language": "en", "text": "metal"},
        {"language": "nl", "text": "metaal"},
    ]
    assert metal["label_sources"] == [{"language": "ca", "text": "first"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,label\n1,a\n", "line 1 lacks aat_id"),
        ("aat_id,lang,label\n300010797,ca,Vidre\n30001079,ca,Vidre\n", r"line 3: '30001079' is not an AAT id"),
        ("aat_id,lang,label\n300010797,ca,\n", "line 2 has no label"),
        ("aat_id,lang,label\n300010797,ca\n", "line 2"),
    ],
)
def test_a_bad_label_file_is_told_with_its_line(tmp_path, content, message):
    file = tmp_path / "labels.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(LabelFileError, match=message):
        read_label_files([file])


def test_a_missing_label_file_is_told(tmp_path):
    with pytest.raises(LabelFileError, match="cannot be read"):
        read_label_files([tmp_path / "none.csv"])
