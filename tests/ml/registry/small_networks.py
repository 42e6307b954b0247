"""Small networks with the parts of large ones, registered with timm and open_clip, and their files from a seed."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import register_model
from timm.models._registry import generate_default_cfgs
from timm.models.vision_transformer import VisionTransformer, _create_vision_transformer

__all__ = ["small_dinov2"]

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
default_cfgs = generate_default_cfgs(
    {
        "small_dinov2.seed": {
            **IMAGENET,
            "hf_hub_id": "nobody/small_dinov2",
            "license": "apache-2.0",
            "input_size": (3, 70, 70),
            "num_classes": 0,
            "pool_size": None,
            "crop_pct": 1.0,
            "interpolation": "bicubic",
            "fixed_input_size": True,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        }
    }
)
TEXT = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VISION = {"image_size": 48, "patch_size": 16, "width": 32, "layers": 2, "head_width": 16}
CLIP = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}
OPENAI = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD, "hf_hub": "nobody/clip/"}
HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "hf_hub": "nobody/siglip/"}


@register_model
def small_dinov2(pretrained: bool = False, **options: Any) -> VisionTransformer:
    """DINOv2 in small: patches of 14, layer scale, no classifier."""
    chosen = {"patch_size": 14, "embed_dim": 32, "depth": 2, "num_heads": 2, "init_values": 1e-5, "img_size": 70}
    return _create_vision_transformer("small_dinov2", pretrained=pretrained, **(chosen | options))


def siglip(tokenizer: Path) -> dict[str, Any]:
    """SigLIP 2 in small: a tower of timm, a bias, pooling of the last token, and its own tokenizer."""
    vision = {"image_size": 160, "timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": "map"}
    text = {
        **TEXT,
        "vocab_size": 64,
        "hf_tokenizer_name": str(tokenizer),
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    text |= {"no_causal_mask": True, "proj_bias": True, "pool_type": "last", "act_kwargs": {"approximate": "tanh"}}
    return {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": vision | {"timm_proj": "none"},
        "text_cfg": text,
    }


def write_tokenizer(folder: Path) -> None:
    """Gemma's tokenizer class, which SigLIP 2 has, for the letters of the alphabet."""
    from transformers import GemmaTokenizer

    merges = [("▁", "a"), ("t", "h"), ("th", "e"), ("o", "r")]
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyz▁.,&_-ABCO"]
    vocabulary = {word: number for number, word in enumerate([*words, *(a + b for a, b in merges)])}
    options = {"padding_side": "right", "add_bos_token": False, "add_eos_token": True}
    GemmaTokenizer(vocab=vocabulary, merges=merges, **options).save_pretrained(folder)


def register(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make open_clip know `test-quick:openai`, `test-plain:laion2b` and `test-siglip:webli`; write the tokenizer."""
    write_tokenizer(folder / "tokenizer")
    published = {
        "test-quick": (
            CLIP,
            {"openai": {**OPENAI, "interpolation": "bicubic", "resize_mode": "shortest", "quick_gelu": True}},
        ),
        "test-plain": (CLIP, {"laion2b": {**OPENAI, "interpolation": "bicubic", "resize_mode": "shortest"}}),
        "test-siglip": (
            siglip(folder / "tokenizer"),
            {"webli": {**HALF, "interpolation": "bicubic", "resize_mode": "squash"}},
        ),
    }
    for name, (model, tags) in published.items():
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, model)
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)


def write_weights(name: str, folder: Path) -> Path:
    """A file with the network's names and shapes, from a seed; every part of the network matters in its answers."""
    architecture = name.partition(":")[0]
    if ":" in name:
        model = open_clip.create_model(architecture, load_weights=False, pretrained_text=False)
    else:
        model = timm.create_model(name, pretrained=False)
    torch.manual_seed(len(name))
    state = {}
    for key, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape) * (0.2 if tensor.ndim > 1 else 0.1)
        scale = tensor.ndim == 1 and key.endswith(("weight", "gamma", "running_var"))
        state[key] = (noise + 1 if scale else noise) if tensor.is_floating_point() else tensor
    state |= {key: torch.tensor(value) for key, value in (("logit_scale", 3.0), ("logit_bias", -10.0)) if key in state}
    if "dinov2" in name:
        state["mask_token"] = torch.zeros(1, 32)  # as in the published files
    file = folder / f"{name.replace(':', '.')}.safetensors"
    save_file(state, file)
    return file


def as_local_folder(name: str, folder: Path) -> Path:
    """The model as open_clip publishes it: weights, tokenizer and open_clip_config.json in one folder."""
    architecture, _, tag = name.partition(":")
    folder.mkdir()
    write_weights(name, folder).rename(folder / "open_clip_model.safetensors")
    write_tokenizer(folder)
    described = {"model_cfg": open_clip.get_model_config(architecture)}
    described["preprocess_cfg"] = {
        k: v for k, v in open_clip.get_pretrained_cfg(architecture, tag).items() if k != "hf_hub"
    }
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    return folder
