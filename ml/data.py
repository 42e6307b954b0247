"""Images and their tags, read from the dataset's Parquet files and decoded at the scale that is needed."""

import hashlib
import io
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.distributed_sampler import RepeatAugSampler
from torch.utils.data import DataLoader, Dataset, Sampler

from ml.tags import FacetTags, TagList

EVALUATED_SPLITS = ("validation", "inner_test", "outer_test")


class DataError(ValueError):
    """The dataset cannot be used; the message names the file or the image."""


class Draw(NamedTuple):
    """One use of an image: which image, and the number that decides its augmentation and its random tags."""

    image: int
    key: int


@dataclass(frozen=True)
class ImageSplit:
    """One split in memory. `tags[facet]` holds, for image i, positions `values[offsets[i]:offsets[i + 1]]`.

    `rejected` holds in the same way the tags that people said the image's record does not have.
    """

    name: str
    record_ids: tuple[str, ...]
    views: tuple[int, ...]
    providers: tuple[str, ...]
    jpegs: pa.ChunkedArray
    tags: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    rejected: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    pixels: tuple[NDArray[np.uint8], ...] | None = None

    def __len__(self) -> int:
        return len(self.record_ids)

    def closed_tags(self, facet: str, image: int) -> NDArray[np.int64]:
        """Positions of the image's scored tags in a facet, ancestors included; empty when it has none."""
        offsets, values = self.tags[facet]
        return values[offsets[image] : offsets[image + 1]]

    def rejected_tags(self, facet: str, image: int) -> NDArray[np.int64]:
        """Positions of the scored tags that people said the image's record does not have."""
        offsets, values = self.rejected[facet]
        return values[offsets[image] : offsets[image + 1]]

    def digest(self) -> str:
        """A hash of which images there are, with which tags held and rejected."""
        found = hashlib.sha256(json.dumps([self.record_ids, self.views]).encode())
        for targets in (self.tags, self.rejected):
            for facet, (offsets, values) in targets.items():
                found.update(facet.encode() + offsets.tobytes() + values.tobytes())
        return found.hexdigest()

    def n_annotated(self, facet: str) -> int:
        """Images with a scored tag in the facet."""
        return int((np.diff(self.tags[facet][0]) > 0).sum())

    def relevant(self, facet: str, n_tags: int) -> NDArray[np.bool_]:
        """Images by tags: True where the tag is relevant."""
        offsets, values = self.tags[facet]
        matrix = np.zeros((len(self), n_tags), dtype=bool)
        matrix[np.repeat(np.arange(len(self)), np.diff(offsets)), values] = True
        return matrix

    def keep(self, wanted: NDArray[np.bool_]) -> "ImageSplit":
        """The images for which `wanted` is True, in the same order."""
        chosen = np.flatnonzero(wanted).tolist()
        tags = {facet: in_offsets([self.closed_tags(facet, i) for i in chosen]) for facet in self.tags}
        rejected = {facet: in_offsets([self.rejected_tags(facet, i) for i in chosen]) for facet in self.rejected}
        return replace(
            self,
            record_ids=tuple(self.record_ids[i] for i in chosen),
            views=tuple(self.views[i] for i in chosen),
            providers=tuple(self.providers[i] for i in chosen),
            jpegs=self.jpegs.take(pa.array(chosen)),
            tags=tags,
            rejected=rejected,
            pixels=None if self.pixels is None else tuple(self.pixels[i] for i in chosen),
        )

    def decoded(self, short_side: int) -> "ImageSplit":
        """The same split with every image decoded once, short side at most `short_side`: for data that fits memory."""
        if self.pixels is not None and min(self.pixels[0].shape[:2], default=0) == short_side:
            return self
        return replace(self, pixels=tuple(self._small(image, short_side) for image in range(len(self))))

    def _small(self, image: int, short_side: int) -> NDArray[np.uint8]:
        picture = open_jpeg(self.jpegs[image].as_buffer(), self.name_of(image))
        width, height = picture.size
        factor = min(1.0, short_side / min(width, height))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return np.asarray(cut(picture, (0.0, 0.0, float(width), float(height)), size))

    def name_of(self, image: int) -> str:
        """How an image is named in messages."""
        return f"view {self.views[image]} of record {self.record_ids[image]}"


def load_split(dataset: Path, name: str, tag_list: TagList) -> ImageSplit:
    """A split of the dataset, sorted by record and view; tags that are not scored are left out.

    Raises DataError when the files are missing or belong to another tag list.
    """
    folder = dataset / name
    if not folder.is_dir():
        raise DataError(f"The dataset {dataset} has no split `{name}`: make the dataset again.")
    files = sorted(folder.glob("part-*.parquet"))
    if not files:
        raise DataError(f"The split {folder} has no Parquet file: make the dataset again.")
    columns = ["record_id", "view", "image", "data_provider", *tag_list.facets]
    table = pa.concat_tables([_read(file, columns, tag_list) for file in files])
    table = table.sort_by([("record_id", "ascending"), ("view", "ascending")])
    record_ids = tuple(table["record_id"].to_pylist())
    negatives = _rejected(dataset / "rejected_tags.parquet")
    return ImageSplit(
        name=name,
        record_ids=record_ids,
        views=tuple(table["view"].to_pylist()),
        providers=tuple(table["data_provider"].to_pylist()),
        jpegs=_bytes_of(table["image"]),
        tags={
            facet: in_offsets([_positions(row or (), tags) for row in table[facet].to_pylist()])
            for facet, tags in tag_list.facets.items()
        },
        rejected={
            facet: in_offsets([_positions(negatives.get(record, ()), tags) for record in record_ids])
            for facet, tags in tag_list.facets.items()
        },
    )


def _positions(tag_ids: Sequence[str], tags: FacetTags) -> NDArray[np.int64]:
    return np.array(sorted(tags.position[tag] for tag in tag_ids if tag in tags.position), dtype=np.int64)


def _rejected(file: Path) -> dict[str, list[str]]:
    """The tags that people rejected, per record; none where the dataset has no such file."""
    found: dict[str, list[str]] = {}
    if file.exists():
        table = pq.read_table(file, columns=["record_id", "tag_id"])
        for record, tag in zip(table["record_id"].to_pylist(), table["tag_id"].to_pylist(), strict=True):
            found.setdefault(record, []).append(tag)
    return found


def _read(file: Path, columns: list[str], tag_list: TagList) -> pa.Table:
    try:
        table = pq.read_table(file, columns=columns)
    except (pa.ArrowInvalid, KeyError, OSError) as error:
        raise DataError(f"The dataset file {file} cannot be read ({error}): make the dataset again.") from error
    written = (table.schema.metadata or {}).get(b"tag_list_hash", tag_list.tag_list_hash.encode()).decode()
    if written != tag_list.tag_list_hash:
        raise DataError(
            f"{file} was written for tag list {written[:12]}, not {tag_list.tag_list_hash[:12]}: make both."
        )
    return table.replace_schema_metadata(None)


def _bytes_of(images: pa.ChunkedArray) -> pa.ChunkedArray:
    chunks = [chunk.field("bytes").cast(pa.large_binary()) for chunk in images.chunks]
    return pa.chunked_array(chunks, type=pa.large_binary()).combine_chunks()


def in_offsets(lists: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists of positions as `offsets` and `values`, the form of ImageSplit."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    values = np.concatenate(lists) if lists else np.empty(0)
    return offsets, values.astype(np.int64)


def open_jpeg(data: bytes | memoryview | pa.Buffer, name: str) -> Image.Image:
    """The image, not decoded yet. Raises DataError for bytes that are no image."""
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: its bytes are no image ({error}).") from error


Box = tuple[float, float, float, float]


def cut(picture: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    """The box of the picture at `size` (width, height), RGB; a JPEG is decoded at 1/2, 1/4 or 1/8 where that suffices.

    libjpeg-turbo scales while it decodes: the cost follows the pixels that are needed, not those that are stored.
    """
    width, height = picture.size
    left, top, right, bottom = box
    need = (math.ceil(width * size[0] / (right - left)), math.ceil(height * size[1] / (bottom - top)))
    picture.draft("RGB", need)
    across, down = picture.size[0] / width, picture.size[1] / height
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    scaled = (left * across, top * down, right * across, bottom * down)
    return picture.resize(size, Image.Resampling.BILINEAR, box=scaled)


def random_box(width: int, height: int, rng: random.Random, scale: tuple[float, float]) -> Box:
    """A random part of the image: area in `scale`, aspect ratio in [3/4, 4/3], uniform in the logarithm.

    The same distribution as torchvision's RandomResizedCrop.get_params, which draws from torch's one global generator;
    here each draw has its own, so that a resumed run, any number of workers and any number of ranks see the same.
    """
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.randint(0, width - w), rng.randint(0, height - h)
            return (left, top, left + w, top + h)
    return central_box(width, height, 3 / 4, 4 / 3)


def central_box(width: int, height: int, least_ratio: float = 1.0, most_ratio: float = 1.0, part: float = 1.0) -> Box:
    """The largest box in the middle whose aspect ratio lies within the bounds, shrunk to `part` of its sides."""
    w = min(width, height * most_ratio) * part
    h = min(height, width / least_ratio) * part
    return ((width - w) / 2, (height - h) / 2, (width + w) / 2, (height + h) / 2)


@dataclass(frozen=True)
class View:
    """How an image becomes the network's input: `crop_scale` None is the central crop of evaluation."""

    size: int
    crop_scale: tuple[float, float] | None = None
    flip: bool = True
    part: float = 1.0

    def apply(self, picture: Image.Image, rng: random.Random) -> NDArray[np.uint8]:
        """Height x width x RGB, uint8."""
        width, height = picture.size
        if self.crop_scale is None:
            return np.asarray(cut(picture, central_box(width, height, part=self.part), (self.size, self.size)))
        shown = cut(picture, random_box(width, height, rng, self.crop_scale), (self.size, self.size))
        if self.flip and rng.random() < 0.5:
            shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return np.asarray(shown)


class Images(Dataset[dict[str, torch.Tensor]]):
    """Images with their tags: `image` uint8 (size, size, 3), `closed` bool over all facets' tags in turn, `draws`,
    one random closed tag per facet, -1 where the image has none, and, where people rejected any, `rejected`."""

    def __init__(self, split: ImageSplit, tag_list: TagList, view: View, seed: int = 0) -> None:
        self.split, self.tag_list, self.view, self.seed = split, tag_list, view, seed
        self.n_tags = sum(len(tags) for tags in tag_list.facets.values())
        self.any_rejected = any(len(values) for _, values in split.rejected.values())
        self.activations: torch.Tensor | None = None  # images x views x …: what a frozen network made of them

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, draw: Draw) -> dict[str, torch.Tensor]:
        return {name: tensor[0] for name, tensor in self.__getitems__([draw]).items()}

    def __getitems__(self, draws: Sequence[Draw]) -> dict[str, torch.Tensor]:
        """A whole batch at once: what each draw gives does not depend on the others."""
        generators = [self.rng(draw) for draw in draws]
        rows = [draw.image for draw in draws]
        return {"image": self._inputs(rows, generators)} | self._targets(rows, generators)

    def rng(self, draw: Draw) -> random.Random:
        """The generator of one draw, the same on every machine."""
        return random.Random((self.seed << 64) | draw.key)  # noqa: S311

    def picture(self, image: int) -> Image.Image:
        """The image: from memory where it was decoded, else its JPEG, not decoded yet."""
        if self.split.pixels is not None:
            return Image.fromarray(self.split.pixels[image])
        return open_jpeg(self.split.jpegs[image].as_buffer(), self.split.name_of(image))

    def _inputs(self, rows: list[int], generators: list[random.Random]) -> torch.Tensor:
        """The images as these draws show them: pixels, or one of the views that already passed a frozen network."""
        if self.activations is not None:
            views = [rng.randrange(self.activations.shape[1]) for rng in generators]
            return self.activations[rows, views]
        pixels = np.empty((len(rows), self.view.size, self.view.size, 3), np.uint8)
        for place, (image, rng) in enumerate(zip(rows, generators, strict=True)):
            pixels[place] = self.view.apply(self.picture(image), rng)
        return torch.from_numpy(pixels)

    def _targets(self, rows: list[int], generators: list[random.Random]) -> dict[str, torch.Tensor]:
        names = ("closed", "rejected") if self.any_rejected else ("closed",)
        targets = {name: np.zeros((len(rows), self.n_tags), bool) for name in names}
        draws = np.full((len(rows), len(self.tag_list.facets)), -1)
        start = 0
        for number, (facet, tags) in enumerate(self.tag_list.facets.items()):
            for place, (image, rng) in enumerate(zip(rows, generators, strict=True)):
                own = self.split.closed_tags(facet, image)
                targets["closed"][place, start + own] = True
                if len(own):
                    draws[place, number] = own[int(rng.random() * len(own))]
                if self.any_rejected:
                    targets["rejected"][place, start + self.split.rejected_tags(facet, image)] = True
            start += len(tags)
        return {name: torch.from_numpy(array) for name, array in (targets | {"draws": draws}).items()}


class EpochSampler(Sampler[Draw]):
    """One rank's draws of an epoch, from the `start`-th on: the same set whatever the number of ranks.

    With `repeats` above 1 timm's RepeatAugSampler decides: N samples of about N / repeats images. Without it every
    image is drawn once. An incomplete last step is left out, so that every step has the same global batch.
    """

    def __init__(self, n: int, *, step_size: int, seed: int, repeats: int = 1, rank: int = 0, world: int = 1) -> None:
        self.n, self.seed, self.repeats, self.rank, self.world = n, seed, repeats, rank, world
        self.step_size = min(step_size, max(n - n % world, world))
        self.epoch, self.start = 0, 0

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch."""
        return max(len(self._order()) * self.world // self.step_size, 1)

    def resume(self, epoch: int, step: int) -> None:
        """Continue in this epoch, with this step's draws next."""
        self.epoch, self.start = epoch, step * self.step_size // self.world

    def __iter__(self) -> Iterator[Draw]:
        order = self._order()[: self.steps * self.step_size // self.world]
        for place in range(self.start, len(order)):
            yield Draw(order[place], (self.epoch << 40) | (place * self.world + self.rank))

    def __len__(self) -> int:
        return self.steps * self.step_size // self.world - self.start

    def _order(self) -> list[int]:
        if self.repeats > 1:
            everyone = RepeatAugSampler(
                range(self.n), num_replicas=self.world, rank=self.rank, num_repeats=self.repeats
            )
            everyone.set_epoch(self.seed * 1_000_003 + self.epoch)
            return list(everyone)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.n, generator=generator).tolist()
        return order[self.rank : self.n - self.n % self.world : self.world]


class InputScale(Protocol):
    """What a network expects of its input (a Recipe, or any other)."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Subtracted from the pixels, in [0, 1]."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Then divided by this."""

    @property
    def channels_last(self) -> bool:
        """The layout in memory."""


def on_device(batch: dict[str, torch.Tensor], device: torch.device, scale: InputScale) -> dict[str, torch.Tensor]:
    """The batch on the device; uint8 pixels travel as they are and become normalised float32 there, channels first."""
    moved = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
    image = moved["image"]
    if image.dtype == torch.uint8:
        width = image.shape[2]
        std = torch.tensor(scale.std, device=device)
        shift = -torch.tensor(scale.mean, device=device) / std
        rows = image.float().flatten(2)  # a row of all its pixels' colours: three numbers alone keep no processor busy
        rows = torch.addcmul(shift.repeat(width), rows, (1 / (255 * std)).repeat(width), out=rows)
        image = rows.unflatten(2, (width, 3)).permute(0, 3, 1, 2)
    layout = torch.channels_last if scale.channels_last and image.ndim == 4 else torch.contiguous_format
    moved["image"] = image.float().contiguous(memory_format=layout)
    return moved


def every_image_once(n: int, rank: int, world: int) -> list[Draw]:
    """One rank's share of an evaluation: over all ranks each image exactly once, none repeated to fill up."""
    return [Draw(image, image) for image in range(rank, n, world)]


def loader(
    dataset: Dataset[dict[str, torch.Tensor]],
    draws: Sampler[Draw] | Sequence[Draw],
    *,
    batch: int,
    workers: int,
    pin: bool,
) -> DataLoader[dict[str, torch.Tensor]]:
    """Batches in the order of the draws. Workers stay alive between epochs and work ahead."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=draws,  # type: ignore[arg-type]
        num_workers=workers,
        pin_memory=pin,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator().manual_seed(0),  # torch's own draw per epoch must not touch the training's
    )


def _as_it_is(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The dataset makes whole batches; there is nothing to put together."""
    return batch
