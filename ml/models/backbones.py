"""Image networks from their cards, with published weights, those of a file, or random ones."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from ml.models.card import NetworkCard
from ml.models.gabor import GaborNetwork
from ml.models.weights import WeightsError, find_published, read_weights


def build(card: NetworkCard, folder: Path | None, size: int) -> tuple[nn.Module, NetworkCard]:
    """The network without its classifier for pictures of `size`, and its card, with the hash of the file that was read.

    `folder` is where weight files are looked for first. Raises WeightsError.
    """
    if card.library == "eufcc":
        return GaborNetwork(), card
    network = timm.create_model(card.architecture, pretrained=False, num_classes=0, **_options(card, size))
    if card.weights is None:
        return network, card
    file, seen = find_published(card.weights, folder)
    load_trunk(network, file)
    return network, replace(card, weights=seen)


def _options(card: NetworkCard, size: int) -> dict[str, Any]:
    return dict(card.options) | ({"img_size": size} if card.input.fixed else {})


def load_trunk(network: nn.Module, file: Path) -> None:
    """Load a weight file into a network of timm, in float32, without its classifier.

    timm's own filter renames what publishers call otherwise, and fits position embeddings to the size of the pictures.
    Raises WeightsError.
    """
    tensors = read_weights(file)
    published = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    wanted = network.state_dict()
    try:
        tensors = published(tensors, network) if published else tensors
    except (KeyError, RuntimeError, AttributeError) as error:  # it looks for tensors of its own kind of network
        raise WeightsError(f"The weight file {file} is of another network ({error}).") from error
    missing = sorted(set(wanted) - set(tensors) - {name for name in wanted if name.endswith("num_batches_tracked")})
    wrong = sorted(name for name in wanted if name in tensors and tensors[name].shape != wanted[name].shape)
    if missing or wrong:
        raise WeightsError(f"The weight file {file} is of another network: `{(missing or wrong)[0]}` does not fit.")
    kept = {name: tensors[name].to(wanted[name].dtype) for name in wanted if name in tensors}
    network.load_state_dict(wanted | kept)


class ImageTower(nn.Module):
    """An image network in two parts: `frozen` is not trained and stays in evaluation mode, `trained` is.

    `freeze` is how many of a timm EfficientNet-like network's blocks are frozen; -1 freezes a whole network of any
    kind; 0 freezes nothing.
    """

    frozen: nn.Module
    trained: nn.Module

    def __init__(self, network: Any, freeze: int = 0) -> None:  # timm's networks have no common type
        super().__init__()
        self.width = int(getattr(network, "head_hidden_size", network.num_features))
        if isinstance(network, GaborNetwork):
            self.frozen, self.trained, self.width = network.parts(freeze)
        elif freeze == 0:
            self.frozen, self.trained = nn.Identity(), network
        elif freeze < 0:
            self.frozen, self.trained = network, nn.Identity()
        elif hasattr(network, "blocks") and hasattr(network, "conv_head"):
            self.frozen = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:freeze])
            self.trained = nn.Sequential(*network.blocks[freeze:], network.conv_head, network.bn2, network.global_pool)
        else:
            raise WeightsError(f"{type(network).__name__} cannot be frozen in part: set freeze to 0 or -1.")
        self.frozen.requires_grad_(False)

    def train(self, mode: bool = True) -> "ImageTower":
        """Training mode for the trained part alone; the frozen part keeps its statistics."""
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Features (images x width) of normalised images, or of the frozen part's activations."""
        return self.trained(self.frozen_part(images))

    def frozen_part(self, images: Tensor) -> Tensor:
        """What the frozen part makes of the images; an activation that is passed in stays as it is."""
        if isinstance(self.frozen, nn.Identity) or images.shape[1] != 3:
            return images
        with torch.no_grad():
            return self.frozen(images)
