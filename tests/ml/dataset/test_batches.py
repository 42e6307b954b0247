"""Reading, decoding, cutting and drawing images."""

import io
import random
import shutil
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ml.dataset.batches import Draw, EpochSampler, Images, every_image_once, loader
from ml.dataset.split import DataError, load_split
from ml.dataset.tag_list import load_tag_list
from ml.dataset.transforms import View, central_box, cut, random_box
from ml.training.device import on_device
from tests.ml.torch_threads import one_thread  # noqa: F401


def jpeg(width: int, height: int) -> Image.Image:
    """A smooth gradient, so that scaling in two ways must agree."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    out = io.BytesIO()
    Image.fromarray(np.stack([x, y, 255 - x], 2).astype(np.uint8)).save(out, "JPEG", quality=95)
    return Image.open(out)


def test_a_split_is_read_with_its_scored_tags(museum: Path):
    tags = load_tag_list(museum)
    split = load_split(museum, "train", tags)
    assert len(split) == 96
    assert list(split.record_ids) == sorted(split.record_ids)
    rows = pq.read_table(museum / "train").to_pylist()
    for image in (0, 50, 95):
        row = next(row for row in rows if row["record_id"] == split.record_ids[image])
        for facet, each in tags.facets.items():
            assert [each.tag_ids[place] for place in split.closed_tags(facet, image)] == row[facet]
            assert (
                np.flatnonzero(split.relevant(facet, len(each))[image]).tolist()
                == split.closed_tags(facet, image).tolist()
            )


def test_rejected_tags_come_from_the_datasets_file(museum: Path, tmp_path: Path):
    dataset = tmp_path / "dataset"
    shutil.copytree(museum, dataset)
    tags = load_tag_list(dataset)
    before = load_split(dataset, "train", tags)
    rejected = {"record_id": ["/train/0003", "/train/0003", "/elsewhere/1"], "facet": ["materials"] * 3}
    rejected["tag_id"] = ["300000014", "300000099", "300000014"]  # the second is in no list
    pq.write_table(pa.table(rejected | {"stated": [True] * 3}), dataset / "rejected_tags.parquet")
    split = load_split(dataset, "train", tags)
    image = split.record_ids.index("/train/0003")
    assert split.rejected_tags("materials", image).tolist() == [tags.facets["materials"].position["300000014"]]
    assert sum(len(values) for _, values in split.rejected.values()) == 1
    assert sum(len(values) for _, values in before.rejected.values()) == 0
    assert before.digest() != split.digest() == load_split(dataset, "train", tags).digest()
    kept = split.keep(np.arange(len(split)) == image)
    assert kept.rejected_tags("materials", 0).tolist() == split.rejected_tags("materials", image).tolist()
    sample = Images(split, tags, View(32))[Draw(image, 0)]
    start = len(tags.facets["object_types"])
    place = tags.facets["materials"].position["300000014"]
    assert torch.nonzero(sample["rejected"]).flatten().tolist() == [start + place]


def test_a_providers_images_can_be_held_out(museum: Path):
    split = load_split(museum, "train", load_tag_list(museum))
    kept = split.keep(np.array([provider != "Museum B" for provider in split.providers]))
    assert set(kept.providers) == {"Museum A", "Museum C"}
    last = len(kept) - 1
    whole = split.record_ids.index(kept.record_ids[last])
    assert kept.jpegs[last].as_py() == split.jpegs[whole].as_py()
    assert kept.closed_tags("materials", last).tolist() == split.closed_tags("materials", whole).tolist()


@pytest.mark.long
def test_a_split_of_more_bytes_than_arrow_can_sort(museum: Path, tmp_path: Path):
    """The paper's training images have some 5 GB; from 2 GB on, sorting them ended in an overflow of offsets."""
    tags, first = load_tag_list(museum), sorted((museum / "train").glob("part-*.parquet"))[0]
    rows = pq.read_table(first).slice(0, 30)
    rows = rows.take(pa.array(range(rows.num_rows))[::-1])  # not in order
    (tmp_path / "train").mkdir()
    with pq.ParquetWriter(tmp_path / "train" / "part-0.parquet", rows.schema, compression="zstd") as file:
        kind, at = rows.schema.field("image"), rows.schema.get_field_index("image")
        for place in range(rows.num_rows):
            image = {"bytes": f"{place:02d}".encode() * 45_000_000, "path": ""}
            file.write_table(rows.slice(place, 1).set_column(at, kind, pa.array([image], kind.type)))
    keys = list(zip(rows["record_id"].to_pylist(), rows["view"].to_pylist(), strict=True))
    split = load_split(tmp_path, "train", tags)
    assert len(split) == len(keys) == 30
    for image, key in enumerate(zip(split.record_ids, split.views, strict=True)):
        assert split.jpegs[image].as_buffer().slice(0, 2).to_pybytes() == f"{keys.index(key):02d}".encode()


def test_a_missing_split_and_a_foreign_tag_list_are_one_sentence(museum: Path, tmp_path: Path):
    tags = load_tag_list(museum)
    with pytest.raises(DataError, match="has no split `nowhere`"):
        load_split(museum, "nowhere", tags)
    with pytest.raises(DataError, match="was written for tag list"):
        load_split(museum, "train", type(tags)(tags.split_hash, "another", tags.facets))


def test_decoding_at_reduced_scale_shows_the_same_picture():
    box = (100.0, 50.0, 900.0, 650.0)
    reduced = np.asarray(cut(jpeg(1000, 800), box, (96, 96))).astype(float)
    full = np.asarray(jpeg(1000, 800).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR, box=box)).astype(float)
    assert np.abs(reduced - full).max() <= 4  # of 255


def test_random_boxes_have_torchvisions_distribution():
    from torchvision.transforms import RandomResizedCrop

    rng, picture = random.Random(1), Image.new("RGB", (300, 200))
    ours = [random_box(300, 200, rng, (0.08, 1.0)) for _ in range(4000)]
    torch.manual_seed(1)
    theirs = [RandomResizedCrop.get_params(picture, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in ours]
    ratios = [(right - left) / (bottom - top) for left, top, right, bottom in ours]
    for mine, other in (
        (areas, [h * w for _, _, h, w in theirs]),
        (ratios, [w / h for _, _, h, w in theirs]),
        ([box[0] for box in ours], [left for _, left, _, _ in theirs]),
    ):
        quantiles = np.linspace(0.05, 0.95, 10)
        spread = np.std(mine)
        assert np.abs(np.quantile(mine, quantiles) - np.quantile(other, quantiles)).max() < 0.12 * spread
    assert all(0 <= left < right <= 300 and 0 <= top < bottom <= 200 for left, top, right, bottom in ours)


def test_evaluation_shows_the_middle():
    assert central_box(300, 200) == (50, 0, 250, 200)
    assert central_box(200, 300, part=0.5) == (50, 100, 150, 200)


def test_a_draw_is_the_same_wherever_it_happens(museum: Path):
    tags = load_tag_list(museum)
    images = Images(load_split(museum, "train", tags), tags, View(32, (0.3, 1.0)), seed=7)
    draws = [Draw(image, 1000 + image) for image in range(12)]
    alone = [images[draw] for draw in draws]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, in the test process alone
        batch = next(iter(loader(images, draws, batch=12, workers=2, pin=False)))
    assert torch.equal(batch["image"], torch.stack([sample["image"] for sample in alone]))
    assert torch.equal(batch["sampled_tag"], torch.stack([sample["sampled_tag"] for sample in alone]))
    assert not torch.equal(images[Draw(3, 1)]["image"], images[Draw(3, 2)]["image"])


def test_the_drawn_tag_is_one_of_the_images(museum: Path):
    tags = load_tag_list(museum)
    split = load_split(museum, "train", tags)
    images = Images(split, tags, View(16))
    seen = Counter(int(images[Draw(1, key)]["sampled_tag"][0]) for key in range(200))
    assert set(seen) == set(split.closed_tags("object_types", 1).tolist())
    without = next(image for image in range(96) if len(split.closed_tags("classifications", image)) == 0)
    assert images[Draw(without, 0)]["sampled_tag"][2] == -1


def test_a_batch_says_each_images_provider(museum: Path):
    tags = load_tag_list(museum)
    split = load_split(museum, "train", tags)
    assert split.provider_names == ("Museum A", "Museum B", "Museum C")
    batch = next(
        iter(loader(Images(split, tags, View(16)), [Draw(i, i) for i in range(4)], batch=4, workers=0, pin=False))
    )
    assert batch["provider"].dtype == torch.int64
    assert [split.provider_names[number] for number in batch["provider"]] == list(split.providers[:4])


def test_decoded_images_are_the_same_pictures(museum: Path):
    tags = load_tag_list(museum)
    split = load_split(museum, "validation", tags)
    stored, decoded = Images(split, tags, View(32)), Images(split.decoded(64), tags, View(32))
    for image in range(5):
        a, b = stored[Draw(image, 0)]["image"].float(), decoded[Draw(image, 0)]["image"].float()
        assert (a - b).abs().mean() < 6


def test_pixels_are_normalised_on_the_device(museum: Path):
    from ml.baselines import recipe

    batch = {"image": torch.full((2, 4, 4, 3), 255, dtype=torch.uint8)}
    image = on_device(batch, torch.device("cpu"), recipe("multilabel", "full"))["image"]
    assert image.shape == (2, 3, 4, 4)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert image[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


@pytest.mark.parametrize("repeats", [1, 3])
def test_an_epoch_is_the_same_over_any_number_of_ranks(repeats: int):
    def drawn(world: int, rank: int) -> list[Draw]:
        sampler = EpochSampler(600, step_size=32, seed=1, repeats=repeats, rank=rank, world=world)
        sampler.resume(epoch=2, step=0)
        return list(sampler)

    alone, first, second = drawn(1, 0), drawn(2, 0), drawn(2, 1)
    for step in range(len(alone) // 32):
        together = first[step * 16 : step * 16 + 16] + second[step * 16 : step * 16 + 16]
        assert sorted(together) == sorted(alone[step * 32 : step * 32 + 32])


def test_with_repeats_an_epoch_is_n_samples_of_a_third_of_the_images():
    sampler = EpochSampler(6000, step_size=100, seed=1, repeats=3)
    draws = list(sampler)
    assert 5800 <= len(draws) <= 6000  # timm rounds to 256, and an incomplete step is left out
    counts = Counter(draw.image for draw in draws)
    assert 1930 <= len(counts) <= 2001
    assert sorted(set(counts.values())) in ([3], [1, 3], [2, 3])
    assert len({draw.key for draw in draws}) == len(draws)  # each repeat is augmented anew


def test_without_repeats_every_image_is_drawn_once():
    draws = list(EpochSampler(640, step_size=64, seed=1))
    assert sorted(draw.image for draw in draws) == list(range(640))


def test_a_resumed_epoch_goes_on_where_it_was():
    sampler = EpochSampler(300, step_size=20, seed=1, repeats=3)
    sampler.resume(4, 0)
    whole = list(sampler)
    sampler.resume(4, 7)
    assert list(sampler) == whole[140:]
    assert len(sampler) == len(whole) - 140


@pytest.mark.parametrize(("n", "world"), [(10, 1), (10, 3), (2, 4)])
def test_evaluation_sees_every_image_once_over_all_ranks(n: int, world: int):
    seen = [draw.image for rank in range(world) for draw in every_image_once(n, rank, world)]
    assert sorted(seen) == list(range(n))
