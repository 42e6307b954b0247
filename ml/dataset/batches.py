"""Batches of a split: which images, in which order, as which tensors."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from timm.data.distributed_sampler import RepeatAugSampler
from torch.utils.data import DataLoader, Dataset, Sampler

from ml.dataset.split import ImageSplit, open_jpeg
from ml.dataset.tag_list import TagList
from ml.dataset.transforms import View


class Draw(NamedTuple):
    """One use of an image: which image, and the number that decides its augmentation and its random tags."""

    image: int
    key: int


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
