"""The networks that describe an image as a vector: one row each, with how pictures are put before them."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ml.models.architectures import BACKBONES
from ml.models.backbones import build
from ml.models.card import Interpolation
from ml.models.cards import backbone_card
from ml.models.weights import WEIGHTS, load_weights

RANDOM_SEED = 340


@dataclass(frozen=True)
class PixelInput:
    """How the pixels of a picture become numbers: the part of a network's card that an extractor needs."""

    mean: Sequence[float]
    std: Sequence[float]
    interpolation: Interpolation = "bicubic"


@dataclass(frozen=True)
class Extractor:
    """A network from pictures (float32, B x 3 x S x S, normalised) to vectors (B x dimensions), see extractors.toml."""

    name: str
    dimensions: int
    image_size: int
    meaning: str
    build: Callable[[Path | None], nn.Module]
    input: PixelInput

    @property
    def licence(self) -> str:
        """The licence of its weights."""
        return WEIGHTS[self.name].licence if self.name in WEIGHTS else "none: seeded random weights"


def inception(weights: Path | None) -> nn.Module:
    """pytorch-fid's network with the weights that define FID; raises WeightsError."""
    state = load_weights("inception", weights)
    network = fid_inception()
    network.load_state_dict(state)
    return pooled_inception(network)


def random_inception(weights: Path | None) -> nn.Module:
    """The stem of the same network with seeded random weights (He et al. 2015), averaged over 4 x 4 fields.

    It sees texture and where it is; the picture's own contrast and colour cast are taken out first.
    """
    del weights  # there are none
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        network = fid_inception()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                # Without trained batch statistics any other scale dies out or explodes on the way.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    stem = list(pooled_inception(network).children())[:4]
    return nn.Sequential(nn.InstanceNorm2d(3), *stem, nn.AdaptiveAvgPool2d(4), nn.Flatten())


def random_small(weights: Path | None) -> nn.Module:
    """Two seeded random layers averaged over 4 x 4 fields: 2,048 numbers, as many as Inception's, at little cost.

    For rehearsals of the paper's size, where the length of the vectors counts and not what they say.
    """
    del weights  # there are none
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        first, second = nn.Conv2d(3, 32, 7, stride=4), nn.Conv2d(32, 128, 3)
        for layer in (first, second):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(
        nn.InstanceNorm2d(3), first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    )


def published(backbone: str, size: int, weights: Path | None) -> nn.Module:
    """A network of ml/models/architectures.py without its classifier; raises WeightsError."""
    return build(backbone_card(BACKBONES[backbone]), weights, size)[0]


def squeezenet(weights: Path | None) -> nn.Module:
    """SqueezeNet 1.0, its last feature maps averaged; raises WeightsError."""
    import torchvision

    network = torchvision.models.squeezenet1_0()
    network.classifier[1].padding = (1, 1)  # as in the original, which is Caffe's
    network.load_state_dict(load_weights("squeezenet", weights))
    return nn.Sequential(network.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())


BUILDERS = {
    "inception": inception,
    "squeezenet": squeezenet,
    "random-inception": random_inception,
    "random-small": random_small,
}
DESCRIBED = tomllib.loads(Path(__file__).with_name("extractors.toml").read_text(encoding="utf-8"))


def _described(name: str, described: Mapping[str, Any]) -> Extractor:
    values = dict(described)
    if "backbone" not in values:
        pixels = PixelInput(values.pop("mean"), values.pop("std"))
        return Extractor(name, build=BUILDERS[name], input=pixels, **values)
    backbone = values.pop("backbone")
    image = backbone_card(BACKBONES[backbone]).input
    pixels = PixelInput(image.mean, image.std, image.interpolation)
    return Extractor(name, build=partial(published, backbone, values["image_size"]), input=pixels, **values)


EXTRACTORS = {name: _described(name, described) for name, described in DESCRIBED.items()}


def fid_inception() -> nn.Module:
    """pytorch-fid's Inception with its patched blocks, weights not loaded (its own builder downloads them)."""
    import torchvision
    from pytorch_fid import inception as fid

    network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, weights=None, init_weights=False)
    network.Mixed_5b = fid.FIDInceptionA(192, pool_features=32)
    network.Mixed_5c = fid.FIDInceptionA(256, pool_features=64)
    network.Mixed_5d = fid.FIDInceptionA(288, pool_features=64)
    network.Mixed_6b = fid.FIDInceptionC(768, channels_7x7=128)
    network.Mixed_6c = fid.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6d = fid.FIDInceptionC(768, channels_7x7=160)
    network.Mixed_6e = fid.FIDInceptionC(768, channels_7x7=192)
    network.Mixed_7b = fid.FIDInceptionE_1(1280)
    network.Mixed_7c = fid.FIDInceptionE_2(2048)
    return network


def pooled_inception(network: nn.Module) -> nn.Sequential:
    """The layers up to the average pool whose 2,048 outputs FID compares."""
    head = ("avgpool", "dropout", "fc")
    body = [layer for name, layer in network.named_children() if name not in head]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten())
