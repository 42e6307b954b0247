"""The published format, both ways."""

import csv

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.published.format import (
    COLUMNS,
    PublishedError,
    as_published,
    published_tags,
    read_official_splits,
    read_published,
    tag_map,
    vocabulary_of,
    write_published,
    write_tag_map,
)
from pipeline.tables import RECORD_TAGS, SPLIT_TABLE, TAGS

HEADER = ",".join(COLUMNS) + "\n"


@pytest.fixture
def published(tmp_path):
    def read(*lines, name="test_id.csv", split="inner_test"):
        file = tmp_path / name
        file.write_text(HEADER + "".join(line + "\n" for line in lines), encoding="utf-8")
        return read_published({split: file})

    return read


def test_levels_and_tags_are_told_apart_and_repetitions_kept(published):
    found = published(
        "art_1,ceràmica $ ceràmica $ contenidor | tassa,retrat,argila | ceràmica,u,EUROPEANA,Museu,zoologia | botànica"
    )
    assert found.stated.select("facet", "position", "path").rows() == [
        ("object_types", 1, ["ceràmica"]),
        ("object_types", 2, ["ceràmica"]),
        ("object_types", 3, ["contenidor", "tassa"]),
        ("subjects", 1, ["retrat"]),
        ("materials", 1, ["argila", "ceràmica"]),
        ("classifications", 1, ["zoologia", "botànica"]),
    ]


def test_tags_are_keyed_by_their_full_path_and_classifications_are_flat(published):
    found = published(
        "art_1,,,fibra | cotó $ material tèxtil | cotó,u,EUROPEANA,Museu,zoologia | botànica",
        "art_2,,,fibra,u,EUROPEANA,Museu,*dance",
    )
    tags = published_tags(found).filter(row=1)
    assert tags.select("facet", "path", "stated").rows() == [
        ("classifications", ["botànica"], True),
        ("classifications", ["zoologia"], True),
        ("materials", ["fibra"], False),
        ("materials", ["fibra", "cotó"], True),
        ("materials", ["material tèxtil"], False),
        ("materials", ["material tèxtil", "cotó"], True),
    ]
    vocabulary = vocabulary_of(published_tags(found))
    assert vocabulary.filter(label="cotó")["path"].to_list() == [["fibra", "cotó"], ["material tèxtil", "cotó"]]
    assert vocabulary.filter(pl.col("outside"))["label"].to_list() == ["*dance"]
    assert vocabulary.filter(label="fibra")["n_rows"].to_list() == [2]


# csv can hold anything but lone surrogates; a carriage return alone would be read as the end of a line
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)


TAGS_TEXT = st.lists(st.sampled_from([" | ", " $ ", "|", "$", " ", "a", "·"]), max_size=8).map("".join)


@given(rows=st.lists(st.lists(TEXT | TAGS_TEXT, min_size=8, max_size=8), max_size=4))
def test_any_rows_survive_the_round_trip(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("published")
    given_, back = folder / "given.csv", folder / "back"
    with given_.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])
    written = write_published(read_published({"train": given_}), back)
    assert [file.name for file in written] == (["train.csv"] if rows else [])
    for file in written:
        assert file.read_bytes() == given_.read_bytes()


def test_the_official_splits_are_read_by_their_names(published, tmp_path):
    published("a,,,,u,EUROPEANA,M,", name="train.csv")
    published("b,,,,u,EUROPEANA,M,", name="test_ood.csv")
    found = read_official_splits(tmp_path)
    assert found.rows.select("split", "row", "record_id").rows() == [("train", 1, "a"), ("outer_test", 1, "b")]
    with pytest.raises(PublishedError, match=r"holds none of train\.csv"):
        read_official_splits(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,tags\n", r"x\.csv: line 1 lacks idInSource"),
        (HEADER + "a,,,,u,EUROPEANA,M,\nb,,,\n", r"x\.csv: line 3 has 4 fields, the header has 8; [^,]+ this line\.$"),
        (HEADER + "b,,,\na,,,,u,EUROPEANA,M,\n,,\n,\n", r"x\.csv: line 2 has 4 fields, .+ this line and 2 others\.$"),
        (HEADER + 'a,"open', r"x\.csv: line 2 is not CSV"),
    ],
)
def test_another_format_is_told_with_its_line(tmp_path, content, message):
    file = tmp_path / "x.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(PublishedError, match=message):
        read_published({"train": file})


def tag(tag_id, facet, path, labels):
    return {
        "tag_id": tag_id,
        "facet": facet,
        "parent": path[-2] if len(path) > 1 else None,
        "depth": len(path),
        "path": path,
        "labels": [{"language": language, "text": text} for language, text in sorted(labels.items())],
        "n_images": 10,
    }


@pytest.fixture
def ours():
    tags = TAGS.frame(
        [
            tag("1", "materials", ["1"], {"ca": "metall", "en": "metal"}),
            tag("2", "materials", ["1", "2"], {"en": "bronze"}),
            tag("3", "classifications", ["3"], {"ca": "arts visuals"}),
            tag("4", "classifications", ["3", "4"], {"ca": "art"}),
            tag("5", "object_types", ["5"], {"ca": "seda"}),
            tag("6", "object_types", ["6"], {"ca": "seda"}),
        ]
    )
    rows = [("2", "materials", True), ("1", "materials", False), ("4", "classifications", True)]
    rows += [("3", "classifications", False), ("5", "object_types", True), ("6", "object_types", True)]
    record_tags = RECORD_TAGS.frame(
        [{"record_id": "/1/a", "facet": facet, "tag_id": tag_id, "stated": stated} for tag_id, facet, stated in rows]
    )
    splits = SPLIT_TABLE.frame(
        [
            {"record_id": "/1/a", "view": 0, "split": "train"},
            {"record_id": "/1/b", "view": 0, "split": "left_out"},
        ]
    )
    records = pl.DataFrame({"record_id": ["/1/a", "/1/b"], "data_provider": "Museu", "thumbnail_url": "t"})
    return splits, records, record_tags, tags


def test_our_tables_are_written_in_the_published_format(ours, tmp_path):
    (file,) = write_published(as_published(*ours), tmp_path)
    assert file.name == "train.csv"
    assert file.read_text(encoding="utf-8") == (
        HEADER + "/1/a,seda [5] $ seda [6],,metall | *bronze,t,EUROPEANA,Museu,art | arts visuals\n"
    )


def test_paths_in_the_tag_map_lead_back_to_ids(ours, tmp_path):
    *_, record_tags, tags = ours
    (file,) = write_published(as_published(*ours), tmp_path)
    by_path = {(row["facet"], row["path"]): row["tag_id"] for row in tag_map(tags)}
    assert len(by_path) == tags.height
    back = published_tags(read_published({"train": file}))
    ids = sorted((facet, by_path[facet, " | ".join(path)]) for facet, path in back.select("facet", "path").iter_rows())
    assert ids == sorted(record_tags.select("facet", "tag_id").iter_rows())
    assert write_tag_map(tags, tmp_path).read_text(encoding="utf-8").splitlines()[:3] == [
        "facet,path,tag_id,language",
        "classifications,arts visuals,3,ca",
        "classifications,art,4,ca",
    ]


@pytest.mark.shared
def test_the_published_sample_comes_back_byte_for_byte(shared, tmp_path):
    sample = shared / "eufcc" / "inner_test_sample.csv"
    found = read_published({"inner_test": sample})
    assert found.rows.height == 400
    (written,) = write_published(found, tmp_path)
    assert written.read_bytes() == sample.read_bytes()
    vocabulary = vocabulary_of(published_tags(found))
    counts = dict(vocabulary.group_by("facet").len().iter_rows())
    assert counts == {"object_types": 521, "materials": 160, "classifications": 26, "subjects": 5}
    names = vocabulary.group_by("facet").agg(pl.col("label").n_unique())
    assert dict(names.iter_rows())["object_types"] == 512  # nine names stand under a second parent
