"""Images of the dataset at the assistant: in an order of their own, with the record they belong to and its title."""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml.assistant.service import AssistantService
from ml.assistant.vocabulary import read_tag_list
from pipeline import FACETS
from pipeline.release.folder import dataset_schema
from pipeline.tables import RECORDS
from tests.ml.assistant.conftest import TAG_LIST, colour_models

IMAGES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(5)]


@pytest.fixture
def with_dataset(tmp_path, store, vocabulary, drawn_vase) -> AssistantService:
    """A service with five training images; the records of two have titles."""
    rows = [
        {"record_id": f"/1/{number}", "view": 0, "image_id": image, "data_provider": "Museum", "group_id": "g"}
        | {"image": {"bytes": drawn_vase(size=(200, 150)), "path": "x.jpg"}}
        | {name: [] for facet in FACETS for name in (facet, f"{facet}_stated")}
        for number, image in enumerate(IMAGES)
    ]
    (tmp_path / "dataset" / "train").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, schema=dataset_schema())
    pq.write_table(table, tmp_path / "dataset" / "train" / "part-00000.parquet")
    french, english = {"language": "fr", "text": "Vase à anses"}, {"language": "en", "text": "Vase"}
    titled = [{"record_id": "/1/0", "titles": [french]}, {"record_id": "/1/1", "titles": [french, english]}]
    RECORDS.write(RECORDS.frame(titled), tmp_path / "records.parquet")
    return AssistantService(
        vocabulary=vocabulary,
        models=colour_models(read_tag_list(TAG_LIST)[0]),
        store=store,
        folder=tmp_path / "service",
        dataset=tmp_path / "dataset",
        records=tmp_path / "records.parquet",
    )


def test_images_come_with_their_records_titles_and_never_twice(with_dataset):
    first = with_dataset.add_from_dataset("train", 3, "anna")
    second = with_dataset.add_from_dataset("train", 3, "anna")
    assert (len(first), len(second)) == (3, 2)
    titles = {row.record_id: row.title for row in (*first, *second)}
    assert titles == {"/1/0": "Vase à anses", "/1/1": "Vase", "/1/2": "/1/2", "/1/3": "/1/3", "/1/4": "/1/4"}
    by_hash = sorted(IMAGES, key=lambda image: hashlib.sha256(image.encode()).digest())
    assert [row.image_id for row in (*first, *second)] == by_hash
    assert all(with_dataset.pictures.file(image).exists() for image in IMAGES)
    assert (first[0].source, first[0].batch, first[0].attribution) == ("dataset", "train", "Museum")


def test_a_storage_without_records_shows_their_ids(with_dataset):
    with_dataset.records.unlink()
    assert [row.title[:3] for row in with_dataset.add_from_dataset("train", 2, "anna")] == ["/1/", "/1/"]
