"""The published CSV files as a dataset folder without pictures."""

import polars as pl
import pytest

from pipeline.files import sha256_of
from pipeline.published.dataset import import_published
from pipeline.published.format import COLUMNS, PublishedError
from pipeline.tables import RECORD_TAGS, RECORDS, SPLIT_TABLE, TAGS
from tests.support.published import thumbnail, write_rows

HEADER = ",".join(COLUMNS) + "\n"
URL = thumbnail("https://museum.example/1.jpg")


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        folder = tmp_path / "files"
        folder.mkdir()
        for name, lines in contents.items():
            text = HEADER + "".join(f"{line}\n" for line in lines)
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_the_folder(tmp_path):
    import datasets

    wanted = {"train": 300, "validation": 20, "inner_test": 40, "outer_test": 30}
    write_rows(tmp_path / "files", wanted)
    imported = import_published(tmp_path / "files", tmp_path / "out")
    assert imported.rows == wanted
    assert [remark.partition(",")[0] for remark in imported.remarks] == ["Rows without a tag"]
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: loaded[split].num_rows for split in loaded} == wanted
    for row in loaded["inner_test"]:
        assert row["image_url"].startswith("https://api.europeana.eu/thumbnail/v2/url.json?uri=https%3A%2F%2Fmuseu")
        assert set(row["object_types_stated"]) <= set(row["object_types"])
    tagged = RECORD_TAGS.read(tmp_path / "out" / "record_tags.parquet").filter(facet="materials").group_by("record_id")
    lists = dict(tagged.agg(pl.col("tag_id").sort()).iter_rows())
    assert {row["record_id"]: row["materials"] for row in loaded["train"] if row["materials"]}.items() <= lists.items()


def test_the_same_files_give_the_same_bytes(tmp_path):
    write_rows(tmp_path / "files", {"train": 60, "outer_test": 20})
    for name in ("one", "two"):
        import_published(tmp_path / "files", tmp_path / name)
    assert sha256_of(tmp_path / "one") == sha256_of(tmp_path / "two")
    for table in (RECORDS, TAGS, RECORD_TAGS):
        assert table.read(tmp_path / "one" / f"{table.name}.parquet").height
    assert SPLIT_TABLE.read(tmp_path / "one" / "splits.parquet").height == 80


def test_a_training_file_alone_is_enough_and_the_others_are_named(files, tmp_path):
    folder = files(train=[f"a,moble,,,{URL},EUROPEANA,M,"], sample=[], tags=[])
    imported = import_published(folder, tmp_path / "out")
    assert imported.rows == {"train": 1}
    assert imported.remarks == [
        "Missing: val.csv, test_id.csv, test_ood.csv. Their splits are left out.",
        "Not read, since no split of the published dataset has this name: sample.csv.",
    ]
    assert "- Missing: val.csv" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_what_is_amiss_is_told_with_counts(files, tmp_path):
    row = "{},moble,,,{},EUROPEANA,M,".format
    train = [row("a", URL), row("", URL), row(" ", URL), row("b", "https://api.europeana.eu/thumbnail?type=IMAGE")]
    test = [row("c", URL), row("c", URL), row("a", URL), row("d", ""), row("e", "x?uri=&type=IMAGE")]
    test.append(f"f,,,,{URL},EUROPEANA,M,")
    imported = import_published(files(train=train, val=[], test_id=test, test_ood=[]), tmp_path / "out")
    assert imported.rows == {"train": 2, "inner_test": 6}
    assert imported.remarks == [
        "Rows without an id (idInSource), which are left out: 2, first row 2 of train.csv.",
        "Rows without a tag, which a run leaves out of its splits: 1, first row 6 of test_id.csv.",
        "Rows without the URL of a picture: 1, first row 4 of test_id.csv.",
        "Rows whose URL has no `uri`, so that the museum's own picture is unknown: 2, first row 4 of train.csv.",
        "Ids with several rows, which count as views of one record and share its tags: 2, first a.",
        "Ids with rows in several splits, so that a test has what is trained on: 1, first a in train and inner_test.",
    ]
    views = SPLIT_TABLE.read(tmp_path / "out" / "splits.parquet").select("record_id", "view", "split")
    assert views.filter(record_id="a").rows() == [("a", 0, "train"), ("a", 1, "inner_test")]


def test_an_id_with_a_newline_makes_no_line_of_its_own(files, tmp_path):
    row = f'"a\n\x1b[2J",moble,,,{URL},EUROPEANA,M,'
    imported = import_published(files(train=[row, row], val=[], test_id=[], test_ood=[]), tmp_path / "out")
    assert imported.remarks == [
        r"Ids with several rows, which count as views of one record and share its tags: 1, first a\n\x1b[2J."
    ]


def test_what_cannot_be_imported_is_refused_and_leaves_nothing(files, tmp_path):
    row, out = f"a,moble,,,{URL},EUROPEANA,M,", tmp_path / "out"
    folder = files(train=[row, "b,,"], test_id=[row])
    with pytest.raises(PublishedError, match=r"train\.csv: line 3 has 3 fields"):
        import_published(folder, out)
    (folder / "train.csv").write_text(HEADER + f",moble,,,{URL},EUROPEANA,M,\n", encoding="utf-8")
    with pytest.raises(PublishedError, match=r"train\.csv has no rows with an id"):
        import_published(folder, out)
    (folder / "train.csv").unlink()
    with pytest.raises(PublishedError, match=r"has no train\.csv"):
        import_published(folder, out)
    with pytest.raises(PublishedError, match=r"files exists and is not empty"):
        import_published(folder, folder)
    assert [each.name for each in tmp_path.iterdir()] == ["files"]
