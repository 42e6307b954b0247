"""`eufcc models`: writes docs/models.md, a table of all networks, from their cards."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ml.models.architectures import BACKBONES
from ml.models.card import Licence, NetworkCard
from ml.models.cards import backbone_card, open_clip_card
from ml.registry.inventory import architecture

DESCRIBED = tomllib.loads(Path(__file__).with_name("networks.toml").read_text(encoding="utf-8"))["network"]
HEAD = """# Networks

`eufcc models` writes this page from the networks' cards: the configuration that their publishers ship with timm and
open_clip, our pins (`ml/models/weights.toml`, `ml/models/index_weights.toml`), and what each network is for
(`assets/cli/networks.toml`).

- **million**: parameters, of both towers where there are two. **GFLOP**: one image through the image tower at that
  size; a multiply-add counts as 2.
- **training**: GPU memory at the paper's batch, 128 images or 64 pairs. Blank: not measured.
- **commercial**: whether the licence of the weights allows commercial use. Read the licence before you rely on it.
- `…` stands for `--profile full --dataset STORAGE/dataset --models STORAGE/models --predictions STORAGE/predictions`.

Weights that are not on this machine are downloaded at first use, from the place in the column. Another network of timm
is tried with `--baseline linear_probe --override backbone=NAME`; `eufcc evaluate` scores any network
([evaluating](evaluating.md)).

"""
COLUMNS = ("network", "weights", "million", "px", "GFLOP", "licence", "commercial", "training", "for", "command")
USE = {True: "yes", False: "no", None: "ask"}


def models_page() -> str:
    """The whole page."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(_cells(described))} |" for described in DESCRIBED]
    return HEAD + "\n".join(lines) + "\n"


def _cells(described: Mapping[str, Any]) -> tuple[str, ...]:
    memory = ""
    if "training_gb" in described:
        memory = f"[{described['training_gb']} GB]({described['measured']})"
    about = (memory, described["use"], f"`{described['command']}`")
    if "encoder" in described:
        return (described["name"], *_encoder_cells(described["encoder"]), *about)
    card = backbone_card(BACKBONES[described["backbone"]]) if "backbone" in described else None
    card = card or open_clip_card(described["open_clip"])
    size = described.get("size", card.input.size)
    millions, gflop = _measured(card, size)
    weights = "random" if card.weights is None else f"`{card.weights.name}`: {card.weights.source}"
    return (described["name"], weights, f"{millions:,.1f}", f"{size}", f"{gflop:.2g}", *_licence(card.licence), *about)


def _encoder_cells(name: str) -> tuple[str, ...]:
    from ml.models.sentence_encoder import SentenceTower, card_of, encoder

    card = card_of(name, 0, True)
    with torch.device("meta"):
        millions = _millions(SentenceTower(encoder(name), 1, locked=True).encoder)
    source = f"`{card.weights.name}`: {card.weights.source}" if card.weights else "random"
    return source, f"{millions:,.1f}", "", "", *_licence(card.licence)


def _licence(licence: Licence | None) -> tuple[str, str]:
    return ("none", "yes") if licence is None else (licence.spdx, USE[licence.commercial_use])


def _measured(card: NetworkCard, size: int) -> tuple[float, float]:
    """Millions of parameters, and GFLOP of one image, counted without weights and without arithmetic."""
    network = architecture(card, size).eval()
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        getattr(network, "encode_image", network)(torch.zeros(1, 3, size, size))
    return _millions(network), counter.get_total_flops() / 1e9


def _millions(network: nn.Module) -> float:
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6
