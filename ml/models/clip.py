"""The CLIP baselines: an image tower and a text tower of open_clip, tags ranked by the similarity of their texts."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import open_clip
import torch
import torch.distributed as dist
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn import functional

from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower
from ml.models.network import Batch, Network
from ml.models.prompts import Prompt, TextTower, tag_text
from ml.models.tokens import tokenize
from ml.models.weights import WeightsError

MOST_SCALE = 100.0  # paper: CLIP (arXiv 2103.00020, section 2.5) clips the temperature's inverse at 100


class Clip(Network):
    """Two towers into one space, and the contrastive loss between them.

    `positives`: `pairs` is CLIP's loss (paper); `same_text` counts every image with the same text as a positive, with a
    uniform target over them, because a batch of museum objects repeats its tags. `tag_list` is set before scoring.
    """

    tag_list: TagList

    def __init__(
        self, image: nn.Module, text: nn.Module, context: int, logit_scale: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        self.image, self.text, self.context = image, text, context
        self.logit_scale = logit_scale if logit_scale is not None else nn.Parameter(torch.tensor(1 / 0.07).log())
        self.positives: Literal["pairs", "same_text"] = "pairs"
        self.prompt: Prompt = "one_tag"
        self._tag_embeddings: list[Tensor] | None = None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor]:
        """Unit vectors of images and texts, and the scale; without `tokens` in the batch no text is read."""
        images = functional.normalize(self.image(batch["image"]).float(), dim=-1)
        texts = self._texts(batch["tokens"]) if "tokens" in batch else None
        return images, texts, self.logit_scale.float().exp().clamp(max=MOST_SCALE)

    @torch.compiler.disable  # how many texts are distinct changes with every batch: each would be compiled anew
    def _texts(self, tokens: Tensor) -> Tensor:
        """Unit vectors of the texts; one that stands several times in the batch passes the tower once."""
        distinct, where = tokens.unique(dim=0, return_inverse=True)
        return functional.normalize(self.text(distinct).float(), dim=-1)[where]

    def weights(self, batch: Batch) -> Tensor:
        """The number of pairs."""
        return torch.tensor([float(len(batch["tokens"]))], device=batch["tokens"].device)

    def loss(self, outputs: tuple[Tensor, Tensor, Tensor], batch: Batch, totals: Tensor) -> Tensor:
        """This rank's rows of both directions' cross-entropy, against the pairs of all ranks."""
        images, texts, scale = outputs
        tokens = batch["tokens"]
        everyone = _gathered(images), _gathered(texts), _gathered(tokens, gradient=False)
        target = pair_targets(tokens, everyone[2], self.positives, _rank() * len(tokens))
        to_text = scale * images @ everyone[1].T
        to_image = scale * texts @ everyone[0].T
        rows = -(target * (to_text.log_softmax(1) + to_image.log_softmax(1))).sum(1) / 2
        return rows.sum() / totals[0]

    def log_scores(self, outputs: tuple[Tensor, Tensor | None, Tensor]) -> dict[str, Tensor]:
        """Log-softmax over a facet's tags of the scaled similarity to their texts, which are embedded once."""
        images, _, scale = outputs
        if self._tag_embeddings is None:
            self._tag_embeddings = [self.embed_tags(facet) for facet in self.tag_list.facets]
        return {
            facet: (scale * images @ embeddings.T).log_softmax(1)
            for facet, embeddings in zip(self.tag_list.facets, self._tag_embeddings, strict=True)
        }

    @torch.no_grad()
    def embed_tags(self, facet: str) -> Tensor:
        """Unit vectors of the facet's tags, tags x dimensions."""
        tags = self.tag_list.facets[facet]
        texts = [tag_text(tags, tag, self.prompt) for tag in range(len(tags))]
        tokens = tokenize(texts, self.context).to(self.logit_scale.device)
        return torch.cat([functional.normalize(self.text(part).float(), dim=-1) for part in tokens.split(256)])

    def train(self, mode: bool = True) -> "Clip":
        """Weights are about to change, or have changed: the tags' embeddings are made anew."""
        self._tag_embeddings = None
        return super().train(mode)


def pair_targets(own: Tensor, everyone: Tensor, positives: str, start: int) -> Tensor:
    """What each own row should match: rows sum to one. `start` is the position of the first own row among all."""
    if positives == "same_text":
        same = (own[:, None, :] == everyone[None, :, :]).all(2).float()
        return same / same.sum(1, keepdim=True)
    target = torch.zeros(len(own), len(everyone), device=own.device)
    target[torch.arange(len(own)), start + torch.arange(len(own))] = 1.0
    return target


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _gathered(tensor: Tensor, gradient: bool = True) -> Tensor:
    """The ranks' tensors below each other, in rank order; gradients flow back to their ranks."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return tensor
    if gradient:
        return torch.cat(all_gather(tensor))
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor)
    return torch.cat(parts)


def from_towers(tower: ImageTower, text: TextTower, tag_list: TagList) -> Clip:
    """A CLIP whose text tower is new: open_clip's transformer of the given size, for the words of the tag list."""
    image = OrderedDict(tower=tower, projection=nn.Linear(tower.width, text.embed, bias=False))
    return Clip(nn.Sequential(image), NewTextTower(text, words_of(tag_list, text.context)), text.context)


def words_of(tag_list: TagList, context: int) -> list[int]:
    """CLIP's token ids that the texts of these tags can hold, in order."""
    texts = [
        tag_text(tags, tag, prompt)
        for tags in tag_list.facets.values()
        for tag in range(len(tags))
        for prompt in ("one_tag", "one_tag_prompt", "path_prompt")
    ]
    return tokenize(texts, context).unique().tolist()


class NewTextTower(nn.Module):
    """A text transformer of random weights that knows some of CLIP's 49,408 tokens.

    The others would have embeddings that no text ever trains. Token ids keep their order, because the transformer
    finds the end of a text by the largest; a token that it does not know is number 0.
    """

    words: Tensor

    def __init__(self, text: TextTower, words: list[int]) -> None:
        super().__init__()
        self.register_buffer("words", torch.tensor(words))
        self.transformer = TextTransformer(
            context_length=text.context,
            vocab_size=len(words) + 1,
            width=text.width,
            heads=text.heads,
            layers=text.layers,
            output_dim=text.embed,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings, not normalised."""
        index = torch.searchsorted(self.words, tokens).clamp(max=len(self.words) - 1)
        return self.transformer(torch.where(self.words[index] == tokens, index + 1, 0))


class _Encoder(nn.Module):
    """One of open_clip's two encoders as a module; the model itself is held once, by `published`."""

    def __init__(self, model: open_clip.CLIP, method: str) -> None:
        super().__init__()
        self._encode: Callable[[Tensor], Tensor] = getattr(model, method)

    def forward(self, inputs: Tensor) -> Tensor:
        """Embeddings, not normalised."""
        return self._encode(inputs)


def published(name: str, pretrained: str | None) -> tuple[Clip, str]:
    """An open_clip model, for example `ViT-B-16` with the weights `openai`, and a sentence on its weights.

    Raises WeightsError when they cannot be had.
    """
    try:
        model = open_clip.create_model(name, pretrained=pretrained, require_pretrained=pretrained is not None)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"The weights `{pretrained}` of {name} are not on this machine and could not be downloaded "
            f"({type(error).__name__}): connect once, or use random weights with --override pretrained=false."
        ) from error
    source = f"{name} {pretrained} from open_clip's registry (MIT)" if pretrained else "random"
    image, text = _Encoder(model, "encode_image"), _Encoder(model, "encode_text")
    clip = Clip(image, text, model.context_length, model.logit_scale)
    del model.logit_scale  # it belongs to `clip` now: a weight with two names cannot be saved
    clip.model = model
    return clip, source
