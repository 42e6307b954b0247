"""The stored vectors of the dataset's images: which is most like another, and which files can be used."""

import numpy as np
import pyarrow as pa
import pytest

from ml.assistant.stored_features import NotDescribed, StoredFeatures, stored_features
from pipeline.parquet import write_parquet
from pipeline.settings import FeatureSettings
from pipeline.tables import features_table

SETTINGS = FeatureSettings(extractors=("random-inception",))


def ids(n: int) -> list[str]:
    return [f"{number:064x}" for number in range(n)]


def write_shard(file, image_ids, vectors, recipe: str | None = "a" * 64, extractor: str = "random-inception") -> None:
    """A shard of the table as ml.features writes it."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float16()), vectors.shape[1])
    columns = [pa.array(image_ids, pa.string()), pa.array([extractor] * len(image_ids), pa.string()), lists]
    table = features_table(vectors.shape[1]).conform(pa.table(columns, ["image_id", "extractor", "vector"]))
    write_parquet(table.replace_schema_metadata({"recipe": recipe} if recipe else {}), file, row_group_size=2_000)


@pytest.fixture
def vectors() -> np.ndarray:
    """Vectors of five thousand pictures, which are more than one block."""
    return np.random.default_rng(340).normal(size=(5_000, 8)).astype(np.float16)


def test_the_nearest_of_all_are_those_that_a_slow_search_finds(tmp_path, vectors):
    names = ids(5_000)
    write_shard(tmp_path / "features" / "000-of-002" / "part-00000.parquet", names[:3_000], vectors[:3_000])
    write_shard(tmp_path / "features" / "001-of-002" / "part-00000.parquet", names[3_000:], vectors[3_000:])
    write_shard(tmp_path / "features" / "001-of-002" / "part-00001.parquet", [], vectors[:0])
    stored = stored_features(tmp_path / "features", tmp_path / "desk", SETTINGS)
    one = stored.of(names[7])
    slow = {}
    for name, vector in zip(names, vectors.astype(np.float64), strict=True):
        slow[name] = float(vector @ one / np.linalg.norm(vector))
    expected = sorted(slow, key=lambda name: -slow[name])[:6]
    found = stored.nearest(one, [*names, "unknown"], 6)
    assert list(found) == expected
    assert next(iter(found)) == names[7]
    assert np.allclose(list(found.values()), [slow[name] for name in expected], atol=2e-3)  # float16
    assert list(stored.nearest(one, names[3_000:3_002], 6)) == sorted(names[3_000:3_002], key=lambda name: -slow[name])
    assert stored.nearest(one, [], 6) == {}


def test_new_vectors_replace_the_old_array(tmp_path, vectors):
    shard = tmp_path / "features" / "part-00000.parquet"
    write_shard(shard, ids(10), vectors[:10])
    first = stored_features(tmp_path / "features", tmp_path / "desk", SETTINGS)
    assert (ids(10)[9] in first, ids(11)[10] in first) == (True, False)
    write_shard(shard, ids(11), vectors[:11])
    assert ids(11)[10] in stored_features(tmp_path / "features", tmp_path / "desk", SETTINGS)
    assert len(list((tmp_path / "desk").glob("features-*"))) == 2


@pytest.mark.parametrize("case", ["none", "no recipe", "two recipes", "no parquet"])
def test_a_table_that_cannot_be_compared_with_is_left_alone(tmp_path, vectors, case):
    folder = tmp_path / "features"
    if case in ("no recipe", "two recipes"):
        write_shard(folder / "part-00000.parquet", ids(3), vectors[:3], recipe=None if case == "no recipe" else "a")
        write_shard(folder / "part-00001.parquet", ids(4)[3:], vectors[3:4], recipe="b")
    if case == "no parquet":
        folder.mkdir()
        (folder / "part-00000.parquet").write_text("PAR1")
    assert stored_features(folder, tmp_path / "desk", SETTINGS) is None


def test_a_picture_is_not_described_by_another_recipe(tmp_path, vectors, drawn_vase):
    write_shard(tmp_path / "features" / "part-00000.parquet", ids(3), vectors[:3], extractor="nothing")
    stored = stored_features(tmp_path / "features", tmp_path / "desk", SETTINGS)
    for _ in range(2):
        with pytest.raises(NotDescribed, match="there is no extractor `nothing`"):
            stored.described(drawn_vase())


def test_a_described_picture_has_length_one():
    stored = StoredFeatures([], np.zeros((0, 2), np.float16), lambda jpeg: np.array([3, 4], np.float16), "test")
    assert stored.described(b"").tolist() == pytest.approx([0.6, 0.8])
