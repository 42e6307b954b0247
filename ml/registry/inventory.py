"""The networks of all recipes: source and licence of their weights, and whether these are here and right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from ml.baselines import BASELINES, RECIPES, recipe
from ml.models.architectures import BACKBONES, Backbone
from ml.models.backbones import build
from ml.models.card import Licence, NetworkCard, Weights
from ml.models.cards import LOCAL, backbone_card, open_clip_card
from ml.models.weights import WEIGHTS, WeightsError, find_published, known_file, local_file
from ml.registry.proof import TOLERANCE, difference

State = Literal["random", "missing", "present", "refused"]
BYTES = 4  # of a float32


@dataclass(frozen=True)
class Stock:
    """One network, or one file of weights, and its state on this machine."""

    name: str
    library: str
    source: str
    licence: str
    commercial_use: bool | None
    size_mb: float | None  # of its file; of its parameters in float32 where there is none yet
    state: State
    file: str | None = None
    sha256: str | None = None
    difference: float | None = None  # largest, between ours and the library's answers to drawn pictures
    message: str = ""  # why it is refused, or what to do


def stock(names: Sequence[str], folder: Path | None) -> Iterator[Stock]:
    """The networks of these names, downloaded where they are missing; without names all that the recipes use.

    A file that is here is read, compared with its pin, and proved against its library.
    """
    cards = {name: card_named(name) for name in names} if names else listed()
    for name, card in cards.items():
        yield _state(name, card, folder, download=bool(names))


def listed() -> dict[str, NetworkCard | Weights]:
    """Every network of the recipes, and every other file of weights.toml, by name."""
    found: dict[str, NetworkCard | Weights] = {}
    for base in RECIPES:
        for key, row in BASELINES.items():
            if row.trainable or not row.needs:
                card = recipe(key, "full", base=base).card
                found.setdefault(card.weights.name if card.weights else card.architecture, card)
    for backbone in BACKBONES.values():
        card = backbone_card(backbone)
        found.setdefault(card.weights.name if card.weights else card.architecture, card)
    for name, known in WEIGHTS.items():
        found.setdefault(name, known.as_weights)
    return found


def card_named(name: str) -> NetworkCard | Weights:
    """The network of a name that the recipes use, of `model:weights` of open_clip, or of timm. Raises WeightsError."""
    known = listed()
    if name in known:
        return known[name]
    if ":" in name or name.startswith(LOCAL):
        return open_clip_card(name)
    return backbone_card(Backbone(name))


def _state(name: str, card: NetworkCard | Weights, folder: Path | None, *, download: bool) -> Stock:
    weights = card if isinstance(card, Weights) else card.weights
    licence = _licence(card)
    described = Stock(
        name,
        card.library if isinstance(card, NetworkCard) else "file",
        weights.source if weights else "",
        licence.spdx if licence else "",
        licence.commercial_use if licence else None,
        size_mb=None,
        state="random",
    )
    if weights is None:
        return replace(described, size_mb=_expected_mb(card), message="begins at random: needs no file")
    file = local_file(weights, folder)
    try:
        if file is None and not download:
            known = known_file(weights)
            command = known.command if known else None
            todo = f"`{command or f'eufcc check-weights {name}'}` gets it"
            return replace(described, size_mb=_expected_mb(card), state="missing", message=todo)
        file, seen = find_published(weights, folder)
        found = difference(card, folder) if isinstance(card, NetworkCard) else None
    except WeightsError as error:
        state: State = "missing" if file is None else "refused"
        return replace(described, size_mb=_expected_mb(card), state=state, message=str(error))
    described = replace(described, size_mb=file.stat().st_size / 1e6, file=str(file), sha256=seen.sha256)
    if found is not None and not found <= TOLERANCE:
        wrong = f"answers otherwise than its library does, by {found:.2g}: report this with the versions of both"
        return replace(described, state="refused", difference=found, message=wrong)
    return replace(described, state="present", difference=found)


def _licence(card: NetworkCard | Weights) -> Licence | None:
    if isinstance(card, NetworkCard):
        return card.licence
    return WEIGHTS[card.name].as_licence


def _expected_mb(card: NetworkCard | Weights) -> float | None:
    """The size of the parameters in float32, from the architecture alone."""
    if isinstance(card, Weights) or card.architecture.startswith(LOCAL):
        return None
    network = architecture(card, card.input.size)
    return sum(parameter.numel() for parameter in network.parameters()) * BYTES / 1e6


def architecture(card: NetworkCard, size: int) -> torch.nn.Module:
    """The network for pictures of `size`, on the device `meta`: with shapes, without numbers in them."""
    with torch.device("meta"):
        if card.library != "open_clip":
            return build(replace(card, weights=None), None, size)[0]
        from ml.models.clip import created  # open_clip takes a second

        return created(card, size, device="meta")
