"""Text as tokens: CLIP's byte pairs, a tokenizer of Hugging Face that open_clip loads, or a `tokenizer.json`."""

import json
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ml.models.card import TextInput
from ml.models.weights import WeightsError

CLIP = TextInput("clip", 77)


def tokenize(texts: list[str], text: TextInput) -> Tensor:
    """Token ids, texts x context, as the text tower reads them; a longer text is cut. Raises WeightsError."""
    key = (text.tokenizer, text.context, text.cleaning, json.dumps(dict(text.options), sort_keys=True))
    return torch.tensor([_tokens_of(each, key) for each in texts])


@lru_cache(maxsize=100_000)
def _tokens_of(text: str, key: tuple[str, int, str, str]) -> tuple[int, ...]:
    return tuple(_tokenizer(*key)([text])[0].tolist())


@lru_cache(maxsize=4)
def _tokenizer(name: str, context: int, cleaning: str, options: str) -> Any:
    if name.endswith(".json"):
        return _vocabulary(name, context)
    from open_clip import tokenizer  # takes a second, and vision rows do without

    chosen = {"context_length": context, "clean": cleaning} | json.loads(options)
    if name == "clip":
        return tokenizer.SimpleTokenizer(**chosen)
    try:
        return tokenizer.HFTokenizer(name, **chosen)
    except (OSError, ValueError, ImportError) as error:
        raise WeightsError(
            f"The tokenizer {name} is not on this machine and could not be had ({type(error).__name__}): connect once."
        ) from error


def _vocabulary(file: str, context: int) -> Any:
    """The tokenizer of a `tokenizer.json`, which cleans and cuts as it says itself; 0 fills a text up."""
    from tokenizers import Tokenizer

    read = Tokenizer.from_file(file)
    read.enable_truncation(context)
    read.enable_padding(length=context, pad_id=0)
    return lambda texts: torch.tensor([encoded.ids for encoded in read.encode_batch(texts)])
