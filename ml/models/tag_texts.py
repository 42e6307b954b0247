"""What a tag means as text, and as a vector: of a sentence encoder, or of hashed pieces of its words."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.dataset.tag_list import FacetTags

PIECES = (3, 4, 5)  # letters of a piece
PIECES_WIDTH = 512  # hashed pieces of a text
CONTEXT = 96  # tokens: label, path and the first sentences of a scope note
AT_ONCE = 64  # texts that pass the encoder together


def tag_texts(tags: FacetTags, notes: Mapping[str, str]) -> list[str]:
    """`bronze: metal, copper alloy, bronze. Any of various alloys …` for each tag; `notes`: scope notes by tag id."""
    texts = []
    for number, (tag_id, label) in enumerate(zip(tags.tag_ids, tags.labels, strict=True)):
        path = ", ".join(tags.labels[above] for above in tags.paths[number])
        texts.append(f"{label}: {path}. {notes.get(tag_id, '')}".strip())
    return texts


def text_vectors(texts: Sequence[str], encoder: str | None, folder: Path | None = None) -> NDArray[np.float32]:
    """Vectors of unit length, texts x `vector_width`; without an encoder those of `hashed_pieces`.

    `folder` is where weights are looked for first. Raises WeightsError.
    """
    return hashed_pieces(texts) if encoder is None else _encoded(texts, encoder, folder)


def vector_width(encoder: str | None) -> int:
    """How many numbers a vector has. Raises WeightsError for an encoder that does not exist."""
    if encoder is None:
        return PIECES_WIDTH
    from ml.models.sentence_encoder import encoder as find

    return int(find(encoder).config["hidden_size"])


def hashed_pieces(texts: Sequence[str]) -> NDArray[np.float32]:
    """Each text as its hashed pieces of three to five letters, unit length: float32 (texts, PIECES_WIDTH)."""
    vectors = np.zeros((len(texts), PIECES_WIDTH), np.float32)
    for number, words in enumerate(texts):
        padded = f" {words.lower()} "
        pieces = [padded[at : at + size] for size in PIECES for at in range(len(padded) - size + 1)]
        np.add.at(vectors[number], [zlib.crc32(piece.encode()) % PIECES_WIDTH for piece in pieces], 1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _encoded(texts: Sequence[str], name: str, folder: Path | None) -> NDArray[np.float32]:
    import torch

    from ml.models.card import TextInput
    from ml.models.sentence_encoder import SentenceTower, encoder
    from ml.models.tokens import tokenize
    from ml.models.weights import find_weights

    described = encoder(name)
    tower = SentenceTower(described, 1, locked=True).eval()
    tower.load_published(find_weights(described.weights, folder))
    tokens = tokenize(list(texts), TextInput(str(find_weights(described.vocabulary, folder)), CONTEXT))
    with torch.inference_mode():
        return np.concatenate([tower.encode(part).numpy() for part in tokens.split(AT_ONCE)])
