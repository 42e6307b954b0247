"""Image networks by name, created with the weights of timm's hub, a local file or a seed; shapes must fit."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ml.models.architectures import Backbone
from ml.models.gabor import GaborNetwork
from ml.models.weights import WEIGHTS, WeightsError, find_weights


def build(backbone: Backbone, weights: Path | None, pretrained: bool, size: int) -> tuple[nn.Module, str]:
    """The network without its classifier, and a sentence on where its weights come from. Raises WeightsError."""
    if backbone.name == "gabor":
        return GaborNetwork(), "random"
    options = dict(backbone.options) | ({"img_size": size} if "vit" in backbone.name else {})
    if not pretrained:
        return timm.create_model(backbone.name.split(".")[0], pretrained=False, num_classes=0, **options), "random"
    if backbone.weights is None:
        return _download(backbone, options), f"{backbone.name} from timm's hub, {backbone.licence}"
    network = timm.create_model(backbone.name.split(".")[0], pretrained=False, num_classes=0, **options)
    file = find_weights(backbone.weights, weights)
    load_trunk(network, file)
    known = WEIGHTS.get(backbone.weights)
    return network, f"{file.name}, {known.licence}" if known else file.name


def _download(backbone: Backbone, options: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(backbone.name, pretrained=True, num_classes=0, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"The weights of {backbone.name} are not on this machine and could not be downloaded "
            f"({type(error).__name__}): connect once, give a folder with --weights, "
            "or train from random weights with --override pretrained=false."
        ) from error


def load_trunk(network: nn.Module, file: Path) -> None:
    """Load a safetensors file into the network, in float32; its classifier is left out. Raises WeightsError."""
    try:
        tensors = load_file(file)
    except FileNotFoundError as error:
        raise WeightsError(f"The weight file {file} does not exist: put it there, or leave --weights out.") from error
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"The weight file {file} is damaged ({error}): get it again.") from error
    wanted = network.state_dict()
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
