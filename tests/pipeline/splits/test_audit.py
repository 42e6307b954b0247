"""The leak audit, on folders of ours and on files like the published ones."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.limits import LimitSettings
from pipeline.splits.audit import AuditError, audit_folder, underlying_image

HEADER = (
    "idInSource,objectTypes.hierarchy,subjects.hierarchy,materials.hierarchy,#portraitMedia.original,database,"
    "repository.keeper,classifications.hierarchy\n"
)
THUMBNAIL = "https://api.europeana.eu/thumbnail/v2/url.json?uri={}&type=IMAGE"


def published(folder: Path, **files: list[tuple[str, str]]) -> Path:
    """CSV files in the published format from pairs of record and URL."""
    for name, rows in files.items():
        lines = [f'{record},"moble | ""cadira""",,,"{url}",EUROPEANA,"Museu, el",\n' for record, url in rows]
        (folder / f"{name}.csv").write_text(HEADER + "".join(lines), encoding="utf-8")
    return folder


def own(folder: Path, **splits: list[tuple[str, str, str, bytes]]) -> Path:
    """A dataset folder of ours from rows of record, group, source hash and stored bytes."""
    for name, rows in splits.items():
        (folder / name).mkdir()
        table = pa.table(
            {
                "record_id": [row[0] for row in rows],
                "group_id": [row[1] for row in rows],
                "image_id": [row[2] for row in rows],
                "image": [{"bytes": row[3], "path": f"{row[2]}.jpg"} for row in rows],
            }
        )
        pq.write_table(table, folder / name / "part-00000.parquet")
    return folder


def found(folder: Path) -> set[tuple[str, str, str, int, int, int]]:
    columns = ["kind", "one", "other", "keys", "images_of_one", "images_of_other"]
    return set(audit_folder(folder).leaks.select(columns).iter_rows())


def test_the_same_picture_behind_two_addresses_is_found(tmp_path):
    there = "http%3A%2F%2Fmuseum.example%2Fa%20b.jpg%3Fsize%3D1"
    folder = published(
        tmp_path,
        train=[("art_1", THUMBNAIL.format(there)), ("art_2", "https://museum.example/c.jpg")],
        val=[("art_3", "https://museum.example/d.jpg")],
        test_id=[("art_4", "https://Museum.example/a b.jpg?size=1"), ("art_2", "https://museum.example/e.jpg")],
    )
    assert found(folder) == {
        ("underlying image", "train.csv", "test_id.csv", 1, 1, 1),
        ("record", "train.csv", "test_id.csv", 1, 1, 1),
    }
    assert audit_folder(folder).sentences == [
        "1 × the same record in train.csv (1 images) and test_id.csv (1), for example art_2.",
        "1 × the same underlying image in train.csv (1 images) and test_id.csv (1), for example "
        "museum.example/a b.jpg?size=1.",
    ]


def test_a_clean_split_says_what_was_compared(tmp_path):
    folder = published(tmp_path, train=[("a", "https://m.example/1")], test_ood=[("b", "https://m.example/2")])
    assert audit_folder(folder).sentences == ["2 images in 2 splits: none shares its record, url, underlying image."]


def test_our_folder_is_compared_by_record_group_and_bytes(tmp_path):
    folder = own(
        tmp_path,
        train=[("/1/a", "g1", "h1", b"one"), ("/1/b", "g1", "h2", b"two"), ("/1/c", "g2", "h3", b"three")],
        inner_test=[("/1/d", "g1", "h4", b"four"), ("/1/e", "g3", "h3", b"five")],
        outer_test=[("/1/f", "g4", "h5", b"one")],
    )
    assert found(folder) == {
        ("group", "train", "inner_test", 1, 2, 1),
        ("source bytes", "train", "inner_test", 1, 1, 1),
        ("stored bytes", "train", "outer_test", 1, 1, 1),
    }


def test_a_folder_without_two_splits_is_refused(tmp_path):
    with pytest.raises(AuditError, match="does not hold two splits"):
        audit_folder(published(tmp_path, train=[("a", "https://m.example/1")]))


def test_another_csv_is_refused(tmp_path):
    (tmp_path / "train.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "val.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(AuditError, match=r"line 1 lacks .*#portraitMedia\.original"):
        audit_folder(tmp_path)


@pytest.mark.parametrize(
    ("url", "image"),
    [
        (THUMBNAIL.format("https%3A%2F%2FA.example%2Fx%2F1.jpg%3Fw%3D2"), "a.example/x/1.jpg?w=2"),
        ("http://a.example/x/1.jpg?w=2#top", "a.example/x/1.jpg?w=2"),
        ("https://a.example/view?uri=http://b.example/1", "a.example/view?uri=http://b.example/1"),
        ("", None),
    ],
)
def test_the_underlying_image_of_an_address(url, image):
    assert underlying_image(url) == image


@pytest.mark.shared
def test_real_rows_of_the_published_test_are_read(shared, tmp_path):
    rows = (shared / "eufcc" / "inner_test_sample.csv").read_bytes().split(b"\n")
    (tmp_path / "test_id.csv").write_bytes(b"\n".join(rows))
    (tmp_path / "train.csv").write_bytes(b"\n".join([rows[0], *rows[-60:]]))
    audit = audit_folder(tmp_path)
    assert audit.images["test_id.csv"] == 400
    assert audit.leaks.filter(kind="record")["keys"].item() == audit.images["train.csv"] > 50


def bomb(folder: Path, **columns: pa.Array) -> Path:
    """Two splits, the second with these columns."""
    own(folder, train=[("/1/a", "g", "i", b"x")], validation=[("/1/b", "h", "j", b"y")])
    file = folder / "validation" / "part-00000.parquet"
    table = pq.read_table(file)
    rows = len(next(iter(columns.values())))
    pq.write_table(
        pa.table({name: columns.get(name, pa.repeat(table[name][0], rows)) for name in table.schema.names}), file
    )
    return folder


def test_more_images_than_the_limit_are_refused_by_the_footer(tmp_path):
    folder = bomb(tmp_path, record_id=pa.repeat("/1/b", 1_000_000))
    with pytest.raises(AuditError, match=r"cannot be audited: it has 1,000,000 rows, of which at most 1,000 are read"):
        audit_folder(folder, LimitSettings(release_images=1_000))


def test_a_long_text_is_refused(tmp_path):
    ids = pa.DictionaryArray.from_arrays(pa.array([0] * 600, pa.int32()), ["a" * 20_000])
    with pytest.raises(AuditError, match="cannot be audited: it has a text of 20,000 bytes, of which at most 10,000"):
        audit_folder(bomb(tmp_path, group_id=ids))


def test_an_image_that_a_dictionary_repeats_is_held_once(tmp_path):
    once = pa.DictionaryArray.from_arrays(pa.array([0] * 400, pa.int32()), pa.array([b"z" * 1_000_000]))
    folder = bomb(tmp_path, image=pa.StructArray.from_arrays([once, pa.repeat("p", 400)], ["bytes", "path"]))
    before = pa.default_memory_pool().max_memory()
    assert audit_folder(folder).images == {"train": 1, "validation": 400}
    assert pa.default_memory_pool().max_memory() - before < 300_000_000  # repeated, they are 400 MB
