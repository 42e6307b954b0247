"""CLIP rows whose text tower is a pretrained sentence encoder."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower
from ml.models.card import TextInput
from ml.models.clip import Clip
from ml.models.sentence_encoder import SentenceTower, encoder
from ml.models.weights import find_weights


class SentenceClip(Clip):
    """An image tower beside a sentence encoder. It keeps its tags' tokens, so a finished model needs no vocabulary."""

    def keep_tokens(self) -> None:
        """Remember the tokens of the tags' texts; before a finished model's weights are loaded, only make room."""
        for facet, tags in self.tag_list.facets.items():
            known = super().tag_tokens(facet) if self.text_input.tokenizer else None
            room = torch.zeros(len(tags), self.text_input.context, dtype=torch.int64)
            self.register_buffer(f"tokens_of_{facet}", room if known is None else known)

    def tag_tokens(self, facet: str) -> Tensor:
        """Tokens of the texts that the facet's tags are ranked by, tags x context."""
        return self.get_buffer(f"tokens_of_{facet}")


def beside_encoder(
    tower: ImageTower,
    name: str,
    tag_list: TagList,
    folder: Path | None,
    *,
    embed: int,
    context: int,
    pretrained: bool,
    locked: bool,
) -> SentenceClip:
    """A CLIP of an image tower and a sentence encoder, each behind a new linear layer into `embed` dimensions.

    Without `pretrained` the encoder is random and its vocabulary is not looked for. Raises WeightsError when a file
    cannot be had.
    """
    described = encoder(name)
    text = SentenceTower(described, embed, locked=locked)
    read = TextInput("", context)
    if pretrained:
        text.load_published(find_weights(described.weights, folder))
        read = replace(read, tokenizer=str(find_weights(described.vocabulary, folder)))
    image = OrderedDict(tower=tower, projection=nn.Linear(tower.width, embed, bias=False))
    model = SentenceClip(nn.Sequential(image), text, read)
    model.tag_list = tag_list
    return model
