"""A pretrained sentence encoder as CLIP's text tower: BERT, the mean over its words, and a new linear layer behind it.

As sentence-transformers runs all-MiniLM-L6-v2: mean of the last hidden states, unit length.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.models.card import TextInput
from ml.models.weights import WEIGHTS, WeightsError, read_weights

MOST_KEPT = 50_000  # ours: texts whose vectors a locked encoder keeps, 75 MB
UNUSED = ("pooler.", "embeddings.position_ids")  # in the file, not in what is used of the network


@dataclass(frozen=True)
class SentenceEncoder:
    """A BERT: its entries in weights.toml, and the sizes that differ from transformers' BertConfig."""

    weights: str
    vocabulary: str
    config: Mapping[str, Any]


ENCODERS = {
    "minilm": SentenceEncoder(
        "minilm",
        "minilm_tokenizer",
        {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    )
}


def encoder(name: str) -> SentenceEncoder:
    """The encoder of that name. Raises WeightsError."""
    if name not in ENCODERS:
        raise WeightsError(f"There is no text encoder `{name}`; there are {', '.join(ENCODERS)}.")
    return ENCODERS[name]


class SentenceTower(nn.Module):
    """Token ids to embeddings. `locked`: only the linear layer behind the encoder is trained."""

    def __init__(self, described: SentenceEncoder, embed: int, *, locked: bool) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel  # takes seconds, and other rows do without

        self.encoder = BertModel(BertConfig(**described.config), add_pooling_layer=False)
        self.projection = nn.Linear(self.encoder.config.hidden_size, embed, bias=False)
        self.locked = locked
        self.encoder.requires_grad_(not locked)
        self._kept: dict[bytes, Tensor] = {}

    def train(self, mode: bool = True) -> "SentenceTower":
        """Training mode; a locked encoder stays in evaluation mode, without dropout."""
        super().train(mode)
        if self.locked:
            self.encoder.eval()
        return self

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings (texts x dimensions), not normalised; `tokens`: int64, texts x context, 0 after a text's end."""
        return self.projection(self._remembered(tokens) if self.locked else self.encode(tokens))

    def encode(self, tokens: Tensor) -> Tensor:
        """Sentence vectors of unit length, texts x hidden size."""
        longest = max(int((tokens != 0).sum(1).max()), 1)
        tokens = tokens[:, :longest]
        mask = tokens != 0
        hidden = self.encoder(tokens, attention_mask=mask.long()).last_hidden_state
        summed = (hidden * mask[:, :, None]).sum(1)
        return functional.normalize(summed / mask.sum(1, keepdim=True).clamp(min=1), dim=1)

    @torch.no_grad()
    def _remembered(self, tokens: Tensor) -> Tensor:
        """Sentence vectors of a locked encoder, which do not change: each text passes it once."""
        keys = [row.tobytes() for row in tokens.cpu().numpy()]
        new = [number for number, key in enumerate(keys) if key not in self._kept]
        if new:
            if len(self._kept) > MOST_KEPT:
                self._kept.clear()
                new = list(range(len(keys)))
            vectors = self.encode(tokens[new]).float()
            self._kept |= {keys[number]: vector for number, vector in zip(new, vectors, strict=True)}
        return torch.stack([self._kept[key] for key in keys])

    def load_published(self, file: Path) -> None:
        """Load the publisher's weights into the encoder, in float32. Raises WeightsError for another network's."""
        tensors = {name: tensor for name, tensor in read_weights(file).items() if not name.startswith(UNUSED)}
        wanted = self.encoder.state_dict()
        wrong = sorted(
            name
            for name in wanted.keys() | tensors.keys()
            if name not in wanted or name not in tensors or wanted[name].shape != tensors[name].shape
        )
        if wrong:
            raise WeightsError(f"The weight file {file} is of another network: `{wrong[0]}` does not fit.")
        self.encoder.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})


def card_of(name: str, context: int, pretrained: bool) -> TextInput:
    """How the encoder reads, and its weights, for the card of a network."""
    described = encoder(name)
    known = WEIGHTS[described.weights]
    read = TextInput(described.vocabulary, context)
    if not pretrained:
        return read
    return replace(read, weights=known.as_weights, licence=known.as_licence)
