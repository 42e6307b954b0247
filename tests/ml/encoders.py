"""A fixture: a small sentence encoder, with its files as they are published."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from ml.models.sentence_encoder import ENCODERS, SentenceEncoder
from ml.models.weights import WEIGHTS, WeightFile
from pipeline.files import sha256_of

WORDS = ["vessels", "bowls", "jars", "textiles", "carpets", "knotted", "metal", "gold", "copper", "glass", "ceramics"]
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture
def small_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the weights and the vocabulary of the encoder `small`, as they are published."""
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    network = BertModel(BertConfig(**SIZES))  # with the pooler, which is published and not used
    save_file(
        {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()},
        folder / "small.safetensors",
    )
    ids = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    vocabulary = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    vocabulary.normalizer = normalizers.Lowercase()
    vocabulary.pre_tokenizer = pre_tokenizers.Whitespace()
    vocabulary.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    vocabulary.save(str(folder / "small.json"))
    for name, file in (("small", "small.safetensors"), ("small_vocabulary", "small.json")):
        known = WeightFile(name, file, sha256_of(folder / file), "MIT", "a test")
        monkeypatch.setitem(WEIGHTS, name, known)
    monkeypatch.setitem(ENCODERS, "small", SentenceEncoder("small", "small_vocabulary", SIZES))
    return folder
