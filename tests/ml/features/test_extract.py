"""Vectors of images: the right network, every distinct image once, the same bytes again."""

import io
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from ml.features.extract import FeaturesError, extract_features, folder_of, resized
from ml.features.extractors import EXTRACTORS, fid_inception, pooled_inception
from ml.models.weights import (
    WEIGHTS,
    WeightFile,
    WeightsError,
    find_weights,
    load_weights,
    read_weights,
)
from pipeline.files import sha256_of
from pipeline.images.duplicates.near_duplicates import vectors_of
from pipeline.settings import FeatureSettings
from pipeline.splits.provider_features import extractors_of, feature_matrix
from pipeline.tables import IMAGES

RANDOM = FeatureSettings(extractors=("random-inception",), image_size=75, batch_size=4)


def encoded(seed: int, width: int = 50, height: int = 40) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def write_images(folder: Path, shards: list[list[int]]) -> None:
    """Shards of images by seed; the id of a seed's image is its number."""
    for number, seeds in enumerate(shards):
        rows = [
            {
                "record_id": f"/{number}/{place}",
                "view": 0,
                "image_id": f"{seed:064d}",
                "image": {"bytes": encoded(seed), "path": "x.jpg"},
            }
            for place, seed in enumerate(seeds)
        ]
        IMAGES.write(IMAGES.frame(rows), folder / f"part-{number:05d}.parquet")


def test_every_distinct_image_has_one_vector_sorted_by_id(tmp_path: Path):
    write_images(tmp_path / "images", [[5, 1, 3, 1], [2, 3, 4]])
    extract_features(tmp_path / "images", tmp_path / "features", RANDOM)
    first, second = (pq.read_table(file) for file in sorted((tmp_path / "features").iterdir()))
    assert [int(name) for name in first["image_id"].to_pylist()] == [1, 3, 5]
    assert [int(name) for name in second["image_id"].to_pylist()] == [2, 4]
    assert set(first["extractor"].to_pylist()) == {"random-inception"}
    assert str(first.schema.field("vector").type) == "fixed_size_list<element: halffloat>[1024]"
    assert b"demo only" in first.schema.metadata[b"meaning"]


def test_a_repeated_run_gives_the_same_bytes_and_a_finished_shard_is_kept(tmp_path: Path):
    write_images(tmp_path / "images", [[1, 2, 3], [4, 5]])
    extract_features(tmp_path / "images", tmp_path / "a", RANDOM)
    extract_features(tmp_path / "images", tmp_path / "b", RANDOM)
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")
    (tmp_path / "b" / "part-00001.parquet").unlink()
    kept = (tmp_path / "b" / "part-00000.parquet").stat().st_mtime_ns
    extract_features(tmp_path / "images", tmp_path / "b", RANDOM)
    assert (tmp_path / "b" / "part-00000.parquet").stat().st_mtime_ns == kept
    assert sha256_of(tmp_path / "a") == sha256_of(tmp_path / "b")


def test_changed_images_or_settings_are_described_anew_and_old_shards_go(tmp_path: Path):
    write_images(tmp_path / "images", [[1, 2], [3]])
    extract_features(tmp_path / "images", tmp_path / "features", RANDOM)
    (tmp_path / "images" / "part-00001.parquet").unlink()
    before = sha256_of(tmp_path / "features" / "part-00000.parquet")
    extract_features(tmp_path / "images", tmp_path / "features", RANDOM.model_copy(update={"image_size": 80}))
    assert [file.name for file in (tmp_path / "features").iterdir()] == ["part-00000.parquet"]
    assert sha256_of(tmp_path / "features" / "part-00000.parquet") != before


def test_torchrun_processes_share_the_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_images(tmp_path / "images", [[1], [2], [3]])
    extract_features(tmp_path / "images", tmp_path / "one", RANDOM)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, names in (("1", ["part-00001.parquet"]), ("0", [f"part-0000{n}.parquet" for n in range(3)])):
        monkeypatch.setenv("RANK", rank)
        extract_features(tmp_path / "images", tmp_path / "two", RANDOM)
        assert sorted(file.name for file in (tmp_path / "two").iterdir()) == names
    assert sha256_of(tmp_path / "one") == sha256_of(tmp_path / "two")


def test_bfloat16_is_close_to_float32(tmp_path: Path):
    write_images(tmp_path / "images", [[1, 2, 3]])
    extract_features(tmp_path / "images", tmp_path / "a", RANDOM)
    extract_features(tmp_path / "images", tmp_path / "b", RANDOM.model_copy(update={"precision": "bf16"}))
    a, b = (np.stack(pq.read_table(tmp_path / name)["vector"].to_numpy()).astype(np.float32) for name in "ab")
    assert 0 < np.abs(a - b).max() < 0.05 * np.abs(a).max()


def test_no_images_and_unknown_extractors_are_said_in_a_sentence(tmp_path: Path):
    with pytest.raises(FeaturesError, match="no image shards"):
        extract_features(tmp_path, tmp_path / "features", RANDOM)
    write_images(tmp_path / "images", [[1]])
    with pytest.raises(FeaturesError, match="no extractor `vgg`"):
        extract_features(tmp_path / "images", tmp_path / "features", FeatureSettings(extractors=("vgg",)))


def test_further_extractors_have_folders_of_their_own(tmp_path: Path):
    settings = FeatureSettings(extractors=("inception", "dinov2"))
    assert folder_of(tmp_path / "features", settings, "inception") == tmp_path / "features"
    assert folder_of(tmp_path / "features", settings, "dinov2") == tmp_path / "features-dinov2"


def test_dinov2_is_a_second_extractor_through_file_features_and_ranking(tmp_path: Path, monkeypatch):
    """Its weights cannot be had everywhere: a file of random ones, of the published shapes, goes the same way."""
    import timm

    torch.manual_seed(0)
    published = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0)  # made for 518 px
    file = tmp_path / "weights" / WEIGHTS["dinov2"].file
    file.parent.mkdir()
    torch.save({name: tensor.half() for name, tensor in published.state_dict().items()}, file)
    monkeypatch.setitem(WEIGHTS, "dinov2", replace(WEIGHTS["dinov2"], sha256=sha256_of(file)))
    write_images(tmp_path / "images", [[1, 2], [3]])
    settings = RANDOM.model_copy(
        update={"extractors": ("random-inception", "dinov2"), "weights": file.parent, "image_size": None}
    )
    extract_features(tmp_path / "images", tmp_path / "features" / "000-of-001", settings)
    assert extractors_of(tmp_path / "features") == ["dinov2", "random-inception"]
    ids = pl.Series([f"{number:064d}" for number in (3, 1, 2)])
    found = feature_matrix(tmp_path / "features", "dinov2", ids)
    network = EXTRACTORS["dinov2"].build(file.parent).eval()
    pixels = torch.stack([resized(encoded(number), 224) for number in (3, 1, 2)])
    mean, std = (
        torch.tensor(value).view(1, 3, 1, 1)
        for value in (EXTRACTORS["dinov2"].input.mean, EXTRACTORS["dinov2"].input.std)
    )
    with torch.inference_mode():
        expected = network((pixels - mean) / std).numpy()
    assert found.shape == (3, 384)
    np.testing.assert_allclose(found.astype(np.float32), expected, rtol=0.01, atol=0.01)
    vectors = pl.concat(vectors_of(tmp_path / "features", "random-inception")).sort("image_id")
    assert (len(vectors), len(vectors["vector"][0])) == (3, 1024)


def test_resizing_is_antialiased_and_keeps_the_range():
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (256, 128)))
    out = io.BytesIO()
    stripes.save(out, "PNG")
    pixels = resized(out.getvalue(), 64)
    assert pixels.shape == (3, 64, 64)
    assert float(pixels.min()) > 0.4  # without antialiasing stripes would stay black and white
    assert float(pixels.max()) < 0.6


def test_our_inception_is_the_peers(monkeypatch: pytest.MonkeyPatch):
    from pytorch_fid import inception as fid

    torch.manual_seed(0)
    ours = fid_inception().eval()
    state = ours.state_dict()
    monkeypatch.setattr(fid, "load_state_dict_from_url", lambda *args, **kwargs: state)
    peer = fid.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    pixels = torch.rand(2, 3, 80, 80) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(pooled_inception(ours)(pixels), peer(pixels)[0].flatten(1))


def test_the_random_network_is_the_same_everywhere_and_leaves_the_generator_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    network = EXTRACTORS["random-inception"].build(None)
    assert torch.equal(torch.get_rng_state(), before)
    again = EXTRACTORS["random-inception"].build(None)
    for one, other in zip(network.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", [name for name in EXTRACTORS if WEIGHTS.get(name) is None or WEIGHTS[name].url])
def test_a_missing_file_offline_is_one_sentence_that_says_what_to_do(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("ml.models.weights.CACHE", tmp_path / "cache")
    if name.startswith("random-"):
        assert EXTRACTORS[name].build(None) is not None
        return
    with pytest.raises(WeightsError, match=rf"`{name}` are missing and this run is offline: put https://") as error:
        EXTRACTORS[name].build(tmp_path)
    assert str(error.value).count(".") <= 12
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path):
    (tmp_path / WEIGHTS["squeezenet"].file).write_bytes(b"other")
    with pytest.raises(WeightsError, match="is not the file `squeezenet`: its sha256 is"):
        find_weights("squeezenet", tmp_path)


def test_a_file_that_runs_code_when_unpickled_is_refused_without_running_it(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="holds more than tensors"):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_weights_come_by_path_and_from_wrappers(tmp_path: Path):
    tensor = {"a": torch.arange(3.0)}
    save_file(tensor, tmp_path / "x.safetensors")
    torch.save({"model": tensor}, tmp_path / "x.pth")
    assert torch.equal(load_weights(str(tmp_path / "x.safetensors"))["a"], tensor["a"])
    assert torch.equal(load_weights(str(tmp_path / "x.pth"))["a"], tensor["a"])
    with pytest.raises(WeightsError, match="There are no weights `nothing`"):
        load_weights("nothing")


def test_non_commercial_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    digest = sha256_of(tmp_path / "x.safetensors")
    entry = WeightFile("x", "x.safetensors", digest, "CC-BY-NC-4.0", "nobody", commercial_use=False)
    monkeypatch.setitem(WEIGHTS, "x", entry)
    with pytest.raises(WeightsError, match="not for commercial use"):
        find_weights("x", tmp_path)
    monkeypatch.setitem(WEIGHTS, "x", replace(entry, commercial_use=True))
    assert find_weights("x", tmp_path) == tmp_path / "x.safetensors"


def test_efficientnet_lite0_describes_as_timms_network_without_its_classifier(tmp_path: Path, monkeypatch):
    torch.manual_seed(0)
    network, known = timm.create_model("tf_efficientnet_lite0").eval(), WEIGHTS["efficientnet_lite0"]
    save_file(network.state_dict(), tmp_path / known.file)
    pinned = replace(known, sha256=sha256_of(tmp_path / known.file))
    monkeypatch.setitem(WEIGHTS, "efficientnet_lite0", pinned)
    extractor = EXTRACTORS["efficientnet_lite0"]
    assert list(extractor.input.mean) == list(extractor.input.std) == [0.5, 0.5, 0.5]
    pictures = torch.randn(2, 3, extractor.image_size, extractor.image_size)
    with torch.inference_mode():
        vectors = extractor.build(tmp_path).eval()(pictures)
        assert torch.equal(vectors, network.forward_head(network.forward_features(pictures), pre_logits=True))
    assert vectors.shape == (2, extractor.dimensions)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["mobilenetv2", "squeezenet"])
def test_the_real_networks_see_that_real_pictures_differ(name: str, shared: Path):
    extractor = EXTRACTORS[name]
    network = extractor.build(shared / "weights").eval()
    files = sorted((shared / "museum" / "media").iterdir())[:6]
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (extractor.input.mean, extractor.input.std))
    pixels = torch.stack([resized(file.read_bytes(), extractor.image_size) for file in files])
    with torch.inference_mode():
        vectors = network((pixels - mean) / std)
    assert vectors.shape == (6, extractor.dimensions)
    unit = torch.nn.functional.normalize(vectors, dim=1)
    assert float((unit @ unit.T - torch.eye(6)).max()) < 0.95


KILLED = """
import sys
from pathlib import Path
from ml.features.extract import extract_features
from tests.ml.features.test_extract import RANDOM
import torch
torch.set_num_threads(1)
extract_features(Path(sys.argv[1]), Path(sys.argv[2]), RANDOM)
"""


def killed_at_random(images: Path, features: Path, kills: int) -> int:
    """End the extraction by SIGKILL so many times, each at a random moment after it wrote another shard; returns how
    many kills hit it at work."""
    draw = random.Random(3)
    root = Path(__file__).parents[3]
    hits = 0
    for _ in range(kills):
        before = len(list(features.glob("part-*.parquet")))
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, images, features],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            start_new_session=True,
        )
        while process.poll() is None and len(list(features.glob("part-*.parquet"))) <= before:
            time.sleep(0.01)
        time.sleep(draw.uniform(0.0, 0.3))
        hits += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    extract_features(images, features, RANDOM)
    return hits


@pytest.mark.long
def test_killed_at_twenty_random_points_the_table_is_that_of_an_undisturbed_run(tmp_path: Path):
    write_images(tmp_path / "images", [list(range(start, start + 30)) for start in range(0, 1800, 30)])
    extract_features(tmp_path / "images", tmp_path / "calm", RANDOM)
    assert killed_at_random(tmp_path / "images", tmp_path / "killed", 20) >= 15  # the last may come after the end
    assert sha256_of(tmp_path / "calm") == sha256_of(tmp_path / "killed")


def test_an_image_that_was_described_keeps_its_vector_and_a_new_one_gets_the_vector_it_would_have_had(tmp_path: Path):
    write_images(tmp_path / "images", [[1, 2, 3, 4, 5]])
    first = extract_features(tmp_path / "images", tmp_path / "grown", RANDOM)
    assert first == {"rows": 5, "recomputed": 5}
    write_images(tmp_path / "images", [[9, 1, 2], [3, 4, 7, 8]])
    assert extract_features(tmp_path / "images", tmp_path / "grown", RANDOM) == {"rows": 7, "recomputed": 3}
    assert extract_features(tmp_path / "images", tmp_path / "grown", RANDOM) == {"rows": 7, "recomputed": 0}
    extract_features(tmp_path / "images", tmp_path / "anew", RANDOM)
    assert sha256_of(tmp_path / "grown") == sha256_of(tmp_path / "anew")


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path):
    write_images(tmp_path / "images", [[1, 2]])
    extract_features(tmp_path / "images", tmp_path / "features", RANDOM)
    (tmp_path / "features" / ".part-00000.parquet.x1y2.part").write_bytes(b"half")
    extract_features(tmp_path / "images", tmp_path / "features", RANDOM)
    assert [file.name for file in (tmp_path / "features").iterdir()] == ["part-00000.parquet"]
