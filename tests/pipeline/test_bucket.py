"""A bucket's table is there when its note is, and its note is there when every file is."""

import json
from pathlib import Path

import fsspec
import pyarrow.fs
import pytest

from pipeline.allow_list import NotAllowed
from pipeline.bucket import Bucket, BucketError, open_bucket

NOTE = {"fingerprint": "f", "sha256": "s", "metadata": {"rows": 2}}


@pytest.fixture
def bucket() -> Bucket:
    """A store of objects in memory."""
    store = fsspec.filesystem("memory", skip_instance_cache=True)
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    return Bucket(pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(store)), "bucket/demo")


def sent(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the files that travel to the bucket from now on."""
    keys: list[str] = []
    put = Bucket._put
    monkeypatch.setattr(Bucket, "_put", lambda self, file, key: (keys.append(key), put(self, file, key))[1])
    return keys


def folder_with(tmp_path: Path, **files: str) -> Path:
    folder = tmp_path / "images"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted(folder.iterdir())}


def test_a_folder_goes_there_and_comes_back(bucket: Bucket, tmp_path: Path):
    bucket.upload("images", folder_with(tmp_path, a="1", b="2"), "images", NOTE)
    note = bucket.note("images")
    assert note is not None
    assert {key: note[key] for key in NOTE} == NOTE
    bucket.download(note, tmp_path / "elsewhere", "images")
    assert content(tmp_path / "elsewhere") == {"a": "1", "b": "2"}


def test_a_single_file_too(bucket: Bucket, tmp_path: Path):
    (tmp_path / "tags.parquet").write_text("rows")
    bucket.upload("tags", tmp_path / "tags.parquet", "tags.parquet", NOTE)
    bucket.download(bucket.note("tags") or {}, tmp_path / "elsewhere.parquet", "tags.parquet")
    assert (tmp_path / "elsewhere.parquet").read_text() == "rows"


def test_only_what_changed_travels(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bucket.upload("images", folder_with(tmp_path, a="1", b="2", c="3"), "images", NOTE)
    keys = sent(bucket, monkeypatch)
    bucket.upload("images", folder_with(tmp_path, a="1", b="changed"), "images", NOTE)
    assert keys == ["images/b"]
    bucket.download(bucket.note("images") or {}, tmp_path / "elsewhere", "images")
    assert content(tmp_path / "elsewhere") == {"a": "1", "b": "changed"}
    assert bucket._objects("images") == {"bucket/demo/images/a", "bucket/demo/images/b"}


def test_a_download_takes_away_what_is_not_listed(bucket: Bucket, tmp_path: Path):
    bucket.upload("images", folder_with(tmp_path, a="1"), "images", NOTE)
    folder = folder_with(tmp_path, a="old", stale="x")
    bucket.download(bucket.note("images") or {}, folder, "images")
    assert content(folder) == {"a": "1"}


def test_killed_between_files_and_note_nothing_is_there(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.upload("images", folder_with(tmp_path, a="1", b="2"), "images", NOTE)
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            bucket.upload("images", folder_with(tmp_path, a="1", b="changed"), "images", NOTE)
    assert bucket.note("images") is None
    keys = sent(bucket, monkeypatch)
    bucket.upload("images", folder_with(tmp_path, a="1", b="2"), "images", NOTE)
    assert sorted(keys) == ["images/a", "images/b"]  # nothing is believed of what lies there
    bucket.download(bucket.note("images") or {}, tmp_path / "elsewhere", "images")
    assert content(tmp_path / "elsewhere") == {"a": "1", "b": "2"}


def test_an_object_that_is_not_the_listed_one_is_refused(bucket: Bucket, tmp_path: Path):
    bucket.upload("images", folder_with(tmp_path, a="1"), "images", NOTE)
    bucket._write("bucket/demo/images/a", b"2")
    with pytest.raises(BucketError, match="is not the file that its note lists"):
        bucket.download(bucket.note("images") or {}, tmp_path / "elsewhere", "images")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_note_cannot_name_a_file_elsewhere(bucket: Bucket, tmp_path: Path):
    bucket._write("bucket/demo/.made/images.json", json.dumps({**NOTE, "files": {"images/../../x": "0"}}).encode())
    with pytest.raises(BucketError, match="which is no part of it"):
        bucket.download(bucket.note("images") or {}, tmp_path / "images", "images")


@pytest.mark.parametrize("address", ["s3://", "gs://bucket", "s3://key:secret@bucket", "s3://bucket/x?endpoint=y"])
def test_an_address_that_is_no_place_in_a_bucket_is_refused(address: str):
    with pytest.raises(BucketError, match="is not a place in a bucket"):
        open_bucket(address, "demo", {})


def test_an_endpoint_must_be_on_the_allow_list():
    with pytest.raises(NotAllowed, match=r"https://store\.museum\.example is not on the allow-list"):
        open_bucket("s3://bucket", "demo", {"AWS_ENDPOINT_URL": "https://store.museum.example"})


def test_a_bucket_that_does_not_answer_is_one_sentence(tmp_path: Path):
    closed = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "EUFCC_ALLOWED_HOSTS": "127.0.0.1"}
    with pytest.raises(BucketError, match="The bucket bucket/demo cannot be used"):
        open_bucket("s3://bucket", "demo", closed).note("tags")
