"""The demo's image network: fixed oriented filters and colour, and a small trained part on top of them.

A laptop cannot train a convolutional network from random weights in half a minute, and the demo downloads nothing. The
filters need no training, as in scattering networks (arXiv 1203.1513, first order): their answers are computed once per
view and kept, so that only the small part is trained.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

ORIENTATIONS = 8
LEVELS = 4  # of an image pyramid, each half the size
SPARSE = 2  # levels of so many pixels that every second one is enough
GRID = 8  # answers are averaged over an 8 x 8 grid
SHADES = (0.0, 0.5, 1.0)  # of each colour; a pixel belongs to the nearest two
CHANNELS = ORIENTATIONS * LEVELS + 6 + len(SHADES) ** 3
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class GaborFilters(nn.Module):
    """Energy of Gabor filters, normalised over orientations, and which colours there are; nothing is trained."""

    filters: Tensor
    luma: Tensor
    shades: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", gabor_pairs(ORIENTATIONS), persistent=False)
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shades", torch.tensor(SHADES).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images x CHANNELS x GRID x GRID from RGB scaled to [-1, 1]."""
        colours = images.float() * 0.5 + 0.5
        grey = (colours * self.luma).sum(1, keepdim=True)
        answers = []
        for level in range(LEVELS):
            answers.append(self.energy(grey, 2 if level < SPARSE else 1))
            if level < LEVELS - 1:
                grey = functional.avg_pool2d(grey, 2)
        mean = functional.adaptive_avg_pool2d(colours, GRID)
        spread = (functional.adaptive_avg_pool2d(colours.square(), GRID) - mean.square()).clamp(min=1e-6).sqrt()
        return torch.cat([*answers, mean, spread, self.palette(colours)], 1)

    def energy(self, grey: Tensor, stride: int) -> Tensor:
        """Length of each pair's answer, relative to all orientations at the place, averaged over the grid."""
        edge = self.filters.shape[-1] // 2
        pairs = functional.conv2d(functional.pad(grey, (edge,) * 4, mode="reflect"), self.filters, stride=stride)
        energy = pairs.unflatten(1, (ORIENTATIONS, 2)).square().sum(2).sqrt()
        energy = functional.adaptive_avg_pool2d(energy, GRID * 2)
        energy = energy / (energy.norm(dim=1, keepdim=True) + 0.05)
        return functional.adaptive_avg_pool2d(energy, GRID)

    def palette(self, colours: Tensor) -> Tensor:
        """The share of each of 27 colours at each place: a histogram with soft edges tells patina from bronze."""
        small = functional.avg_pool2d(colours, 2)
        red, green, blue = (
            (1 - (small[:, c : c + 1] - self.shades).abs() * (len(SHADES) - 1)).clamp(min=0) for c in range(3)
        )
        shares = (red[:, :, None, None] * green[:, None, :, None] * blue[:, None, None, :]).flatten(1, 3)
        return functional.adaptive_avg_pool2d(shares, GRID)


def gabor_pairs(orientations: int, size: int = 7, sigma: float = 1.6, wavelength: float = 4.0) -> Tensor:
    """Even and odd Gabor filters per orientation, of mean 0 and length 1: (2 x orientations) x 1 x size x size."""
    half = size // 2
    y, x = torch.meshgrid(torch.arange(-half, half + 1.0), torch.arange(-half, half + 1.0), indexing="ij")
    window = torch.exp(-(x.square() + y.square()) / (2 * sigma**2))
    filters = []
    for number in range(orientations):
        angle = math.pi * number / orientations
        along = x * math.cos(angle) + y * math.sin(angle)
        for phase in (0.0, math.pi / 2):
            wave = window * torch.cos(2 * math.pi * along / wavelength + phase)
            wave = wave - window * wave.sum() / window.sum()
            filters.append(wave / wave.norm())
    return torch.stack(filters)[:, None]


class GaborNetwork(nn.Module):
    """The filters, two small convolutions over their grid of answers, and one hidden layer over all places."""

    num_features = 256

    def __init__(self, first: int = 48, second: int = 128, drop: float = 0.1) -> None:
        super().__init__()
        self.filters = GaborFilters()
        self.top = nn.Sequential(
            nn.BatchNorm2d(CHANNELS, affine=False),
            *convolution(CHANNELS, first),
            nn.MaxPool2d(2),
            *convolution(first, second),
            nn.Flatten(),
            nn.Dropout(drop),
            nn.Linear(second * (GRID // 2) ** 2, self.num_features),
            nn.BatchNorm1d(self.num_features),
            nn.ReLU(),
            nn.Dropout(drop),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Features, images x num_features."""
        return self.top(self.filters(images))

    def parts(self, freeze: int) -> tuple[nn.Module, nn.Module, int]:
        """What is frozen, what is trained, and the features' width; -1 leaves the filters' answers as features."""
        if freeze < 0:
            return self.filters, nn.Sequential(nn.BatchNorm2d(CHANNELS, affine=False), nn.Flatten()), CHANNELS * GRID**2
        return self.filters, self.top, self.num_features


def convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """3 x 3, normalised, rectified."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
