"""The CLIP baselines: an image tower and a text tower of open_clip, tags ranked by the similarity of their texts."""

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import open_clip
import torch
import torch.distributed as dist
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn import functional

from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower
from ml.models.card import NetworkCard, TextInput
from ml.models.network import Batch, Network
from ml.models.prompts import Prompt, TextTower, tag_text
from ml.models.tokens import CLIP as CLIP_TEXT
from ml.models.tokens import tokenize
from ml.models.weights import WeightsError, find_published, read_weights

MOST_SCALE = 100.0  # paper: CLIP (arXiv 2103.00020, section 2.5) clips the temperature's inverse at 100


class Clip(Network):
    """Two towers into one space, and the contrastive loss between them.

    `positives`: `pairs` is CLIP's loss (paper); `same_text` counts every image with the same text as a positive, with a
    uniform target over them, because a batch of museum objects repeats its tags. `tag_list` is set before scoring.

    With a `logit_bias` the two towers are SigLIP's (arXiv 2303.15343): every pair of image and text is a question of
    its own, in training and in the scores, and the scale has no bound.
    """

    whole_step = True
    tag_list: TagList

    def __init__(
        self,
        image: nn.Module,
        text: nn.Module,
        text_input: TextInput,
        logit_scale: nn.Parameter | None = None,
        logit_bias: nn.Parameter | None = None,
    ) -> None:
        super().__init__()
        self.image, self.text, self.text_input = image, text, text_input
        self.logit_scale = logit_scale if logit_scale is not None else nn.Parameter(torch.tensor(1 / 0.07).log())
        self.logit_bias = logit_bias
        self.positives: Literal["pairs", "same_text"] = "pairs"
        self.prompt: Prompt = "one_tag"
        self._tag_embeddings: list[Tensor] | None = None

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor, Tensor | None]:
        """Unit vectors of images and texts, scale and bias; without `tokens` in the batch no text is read."""
        images = functional.normalize(self.image(batch["image"]).float(), dim=-1)
        texts = self._texts(batch["tokens"]) if "tokens" in batch else None
        bias = None if self.logit_bias is None else self.logit_bias.float()
        return images, texts, self.logit_scale.float().exp(), bias

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep CLIP's scale at or below its bound.

        It is the parameter that is cut: beyond a bound in `forward` it would have no gradient, and never move again.
        """
        if self.logit_bias is None:
            self.logit_scale.clamp_(max=math.log(MOST_SCALE))

    @torch.compiler.disable  # how many texts are distinct changes with every batch: each would be compiled anew
    def _texts(self, tokens: Tensor) -> Tensor:
        """Unit vectors of the texts; one that stands several times in the batch passes the tower once."""
        distinct, where = tokens.unique(dim=0, return_inverse=True)
        return functional.normalize(self.text(distinct).float(), dim=-1)[where]

    def weights(self, batch: Batch) -> Tensor:
        """The number of pairs."""
        return torch.tensor([float(len(batch["tokens"]))], device=batch["tokens"].device)

    def loss(self, outputs: tuple[Tensor, Tensor, Tensor, Tensor | None], batch: Batch, totals: Tensor) -> Tensor:
        """This rank's rows of both directions' cross-entropy, against the pairs of all ranks; SigLIP's with a bias."""
        images, texts, scale, bias = outputs
        tokens = batch["tokens"]
        everyone = _gathered(images), _gathered(texts), _gathered(tokens, gradient=False)
        target = pair_targets(tokens, everyone[2], self.positives, _rank() * len(tokens))
        to_text = scale * images @ everyone[1].T
        if bias is not None:
            return -functional.logsigmoid((to_text + bias) * torch.where(target > 0, 1.0, -1.0)).sum() / totals[0]
        to_image = scale * texts @ everyone[0].T
        rows = -(target * (to_text.log_softmax(1) + to_image.log_softmax(1))).sum(1) / 2
        return rows.sum() / totals[0]

    def log_scores(self, outputs: tuple[Tensor, Tensor | None, Tensor, Tensor | None]) -> dict[str, Tensor]:
        """Log-softmax over a facet's tags of the scaled similarity to their texts, which are embedded once.

        With a bias the log-sigmoid of each tag alone.
        """
        images, _, scale, bias = outputs
        if self._tag_embeddings is None:
            self._tag_embeddings = [self.embed_tags(facet) for facet in self.tag_list.facets]
        scores = {}
        for facet, embeddings in zip(self.tag_list.facets, self._tag_embeddings, strict=True):
            logits = scale * images @ embeddings.T
            scores[facet] = logits.log_softmax(1) if bias is None else functional.logsigmoid(logits + bias)
        return scores

    @torch.no_grad()
    def embed_tags(self, facet: str) -> Tensor:
        """Unit vectors of the facet's tags, tags x dimensions."""
        tokens = self.tag_tokens(facet).to(self.logit_scale.device)
        return torch.cat([functional.normalize(self.text(part).float(), dim=-1) for part in tokens.split(256)])

    def tag_tokens(self, facet: str) -> Tensor:
        """Tokens of the texts that the facet's tags are ranked by, tags x context."""
        tags = self.tag_list.facets[facet]
        return tokenize([tag_text(tags, tag, self.prompt) for tag in range(len(tags))], self.text_input)

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
    text_input = TextInput("clip", text.context)
    return Clip(nn.Sequential(image), NewTextTower(text, words_of(tag_list, text_input)), text_input)


def words_of(tag_list: TagList, text_input: TextInput) -> list[int]:
    """CLIP's token ids that the texts of these tags can hold, in order."""
    texts = [
        tag_text(tags, tag, prompt)
        for tags in tag_list.facets.values()
        for tag in range(len(tags))
        for prompt in ("one_tag", "one_tag_prompt", "path_prompt")
    ]
    return tokenize(texts, text_input).unique().tolist()


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


def published(card: NetworkCard, folder: Path | None, size: int) -> tuple[Clip, NetworkCard]:
    """A model of open_clip as its publisher configured it, and its card, with the hash of the file that was read.

    Raises WeightsError when its weights cannot be had, or are not those of this model.
    """
    model = created(card, size)
    if card.weights is not None:
        file, seen = find_published(card.weights, folder)
        card = replace(card, weights=seen)
        load_published(model, file)
    image, text = _Encoder(model, "encode_image"), _Encoder(model, "encode_text")
    clip = Clip(image, text, card.text or CLIP_TEXT, model.logit_scale, model.logit_bias)
    del model.logit_scale, model.logit_bias  # they belong to `clip` now: a weight with two names cannot be saved
    clip.model = model
    return clip, card


def created(card: NetworkCard, size: int, device: str = "cpu") -> Any:  # CLIP, CoCa or CustomTextCLIP
    """A model of open_clip with random weights; on the device `meta` it has only shapes."""
    other = {} if size == card.input.size else {"force_image_size": size}
    with _without_warning("No pretrained weights loaded"):  # they are loaded by us, and checked before
        return open_clip.create_model(
            card.architecture, load_weights=False, pretrained_text=False, device=device, **card.options, **other
        )


@contextmanager
def _without_warning(beginning: str) -> Iterator[None]:
    """Leave out what open_clip says with this beginning, on the root logger."""

    def wanted(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginning)

    logging.getLogger().addFilter(wanted)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(wanted)


def load_published(model: nn.Module, file: Path) -> None:
    """Load a weight file into a model of open_clip, which renames what publishers call otherwise.

    Raises WeightsError.
    """
    read_weights(file)  # says in one sentence what is wrong with the file, and runs nothing in it
    try:
        open_clip.load_checkpoint(model, str(file), weights_only=True)
    except (RuntimeError, KeyError, AttributeError, StopIteration) as error:  # StopIteration: there is no tensor in it
        last = str(error).strip().rpartition("\n")[2].strip() or "it holds no tensors."
        raise WeightsError(f"The weight file {file} is of another network: {last}") from error
