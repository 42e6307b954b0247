"""Batches of a split: which images, in which order, as which tensors."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from timm.data.distributed_sampler import RepeatAugSampler
from torch.utils.data import DataLoader, Dataset, Sampler, default_convert

from ml.dataset.random_part import random_part
from ml.dataset.split import ImageSplit, open_jpeg
from ml.dataset.tag_list import TagList
from ml.dataset.transforms import View


class Draw(NamedTuple):
    """One use of an image: which image, and the number that decides its augmentation and its random tags."""

    image: int
    key: int


class Images(Dataset[dict[str, torch.Tensor]]):
    """Images with their tags, as batches of tensors.

    `image`: uint8, (n, size, size, 3), or the activations that a frozen network made of it. `closed`: bool, (n, tags),
    the tags of all facets side by side, with those above them. `sampled_tag`: int64, (n, facets), one random closed tag
    per facet, -1 where the image has none. `provider`: int64, (n,), index into `split.provider_names`. `group`: int64,
    (n,), `split.group_keys`. `rejected`: bool as `closed`, the tags that people rejected; only where the split has any.
    """

    def __init__(self, split: ImageSplit, tag_list: TagList, view: View, seed: int = 0) -> None:
        self.split, self.tag_list, self.view, self.seed = split, tag_list, view, seed
        self.n_tags = sum(len(tags) for tags in tag_list.facets.values())
        self.any_rejected = any(len(values) for _, values in split.rejected.values())
        self.activations: torch.Tensor | None = None  # images x views x …, see ml.training.activation_cache

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, draw: Draw) -> dict[str, torch.Tensor]:
        return {name: tensor[0] for name, tensor in self.__getitems__([draw]).items()}

    def __getitems__(self, draws: Sequence[Draw]) -> dict[str, torch.Tensor]:
        """A whole batch at once; what a draw gives does not depend on the other draws."""
        generators = [self.rng(draw) for draw in draws]
        rows = [draw.image for draw in draws]
        of_images = {"provider": self.split.provider_index[rows], "group": self.split.group_keys[rows]}
        described = {name: torch.from_numpy(values) for name, values in of_images.items()}
        return {"image": self._inputs(rows, generators)} | described | self._targets(rows, generators)

    def rng(self, draw: Draw) -> random.Random:
        """The generator of one draw, the same on every machine."""
        return random.Random((self.seed << 64) | draw.key)  # noqa: S311

    def picture(self, image: int) -> Image.Image:
        """The decoded image where the split holds it in memory, else its JPEG, opened but not decoded."""
        if self.split.pixels is not None:
            return Image.fromarray(self.split.pixels[image])
        return open_jpeg(self.split.jpegs[image].as_buffer(), self.split.name_of(image))

    def _inputs(self, rows: list[int], generators: list[random.Random]) -> torch.Tensor:
        """Pixels under random augmentation, or the activations of one random view of each image."""
        if self.activations is not None:
            views = [rng.randrange(self.activations.shape[1]) for rng in generators]
            return self.activations[rows, views]
        pixels = torch.empty((len(rows), self.view.size, self.view.size, 3), dtype=torch.uint8)
        for row, (image, rng) in enumerate(zip(rows, generators, strict=True)):
            if self.view.crop_scale is None or self.split.pixels is not None:
                pixels.numpy()[row] = self.view.apply(self.picture(image), rng)
            else:
                pixels[row] = random_part(self.picture(image), self.view, rng)
        return pixels

    def _targets(self, rows: list[int], generators: list[random.Random]) -> dict[str, torch.Tensor]:
        names = ("closed", "rejected") if self.any_rejected else ("closed",)
        targets = {name: np.zeros((len(rows), self.n_tags), bool) for name in names}
        sampled = np.full((len(rows), len(self.tag_list.facets)), -1)
        start = 0
        for number, (facet, tags) in enumerate(self.tag_list.facets.items()):
            for row, (image, rng) in enumerate(zip(rows, generators, strict=True)):
                own = self.split.closed_tags(facet, image)
                targets["closed"][row, start + own] = True
                if len(own):
                    sampled[row, number] = own[int(rng.random() * len(own))]
                if self.any_rejected:
                    targets["rejected"][row, start + self.split.rejected_tags(facet, image)] = True
            start += len(tags)
        return {name: torch.from_numpy(array) for name, array in (targets | {"sampled_tag": sampled}).items()}


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
        for number in range(self.start, len(order)):
            yield Draw(order[number], (self.epoch << 40) | (number * self.world + self.rank))

    def __len__(self) -> int:
        return self.steps * self.step_size // self.world - self.start

    def _order(self) -> list[int]:
        if self.repeats > 1:
            sampler = RepeatAugSampler(range(self.n), num_replicas=self.world, rank=self.rank, num_repeats=self.repeats)
            sampler.set_epoch(self.seed * 1_000_003 + self.epoch)
            return list(sampler)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.n, generator=generator).tolist()
        return order[self.rank : self.n - self.n % self.world : self.world]


def every_image_once(n: int, rank: int, world: int) -> list[Draw]:
    """Shards the images of an evaluation over the ranks without padding: this rank's draws."""
    return [Draw(image, image) for image in range(rank, n, world)]


def loader(
    dataset: Dataset[dict[str, torch.Tensor]],
    draws: Sampler[Draw] | Sequence[Draw],
    *,
    batch: int,
    workers: int,
    pin: bool,
) -> DataLoader[dict[str, torch.Tensor]]:
    """Batches in the order of the draws. Workers stay alive between epochs and prefetch."""
    return DataLoader(
        dataset,
        batch_size=batch,
        sampler=draws,  # type: ignore[arg-type]
        num_workers=workers,
        pin_memory=pin,
        collate_fn=default_convert,  # Images.__getitems__ makes whole batches: nothing is left to collate
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator().manual_seed(0),  # its draw per epoch leaves the global generator alone
    )
