"""Text as CLIP's tokens: its byte-pair vocabulary, shipped with open_clip."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


def tokenize(texts: list[str], context: int) -> Tensor:
    """Token ids, texts x context; a longer text is cut."""
    return torch.tensor([_tokens_of(text, context) for text in texts])


@lru_cache(maxsize=100_000)
def _tokens_of(text: str, context: int) -> tuple[int, ...]:
    return tuple(_tokenizer(context)([text])[0].tolist())


@lru_cache(maxsize=2)
def _tokenizer(context: int) -> Any:
    import open_clip  # takes a second, and vision rows do without

    return open_clip.SimpleTokenizer(context_length=context)
