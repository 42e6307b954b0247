"""Finished models as timm and open_clip load them: their configuration, and weights under their own names."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ml.dataset.tag_list import TagList
from ml.models.backbones import ImageTower, build
from ml.models.network import Network
from ml.models.vision import VisionModel
from ml.training.recipe import Recipe
from pipeline.files import write_json

Library = Literal["timm", "open_clip", "eufcc"]

TIMM_CROPS = {"shortest": "center", "box": "center", "squash": "squash", "longest": "border"}
HEADS = "heads.safetensors"  # beside timm's model.safetensors: `<facet>.weight` and `<facet>.bias`
TEXTS = "tag_texts.json"  # beside open_clip's weights: the texts that rank each facet's tags, in the tag list's order


def library_of(network: Network, recipe: Recipe) -> Library:
    """The library that can load the network; `eufcc` for networks that only this project builds."""
    if isinstance(network, VisionModel) and recipe.card.library == "timm":
        return "timm"
    return "open_clip" if recipe.card.library == "open_clip" else "eufcc"


def write_timm(network: VisionModel, recipe: Recipe, folder: Path) -> None:
    """`config.json` and `model.safetensors`, which give features, and the facets' linear heads beside them."""
    from timm.models import save_for_hf

    trunk, _ = build(replace(recipe.card, weights=None), None, recipe.size)
    ImageTower(trunk, recipe.freeze).load_state_dict(network.tower.state_dict())
    image, view = recipe.card.input, recipe.evaluation_view
    shown = {
        "input_size": (3, view.size, view.size),
        "mean": image.mean,
        "std": image.std,
        "interpolation": view.interpolation,
        "crop_pct": view.part,
        "crop_mode": TIMM_CROPS[view.fit],
    }
    licence = recipe.card.licence
    described = {"pretrained_cfg": {"license": licence.spdx if licence else None, "tag": "eufcc"}}
    save_for_hf(trunk, str(folder), model_config=described, safe_serialization=True, data_config=shown)
    heads = {
        f"{facet}.{name}": tensor.contiguous()
        for facet, head in network.heads.items()
        for name, tensor in head.get_submodule("linear").state_dict().items()
    }
    save_file(heads, folder / HEADS, {"format": "pt"})


def write_open_clip(network: Any, recipe: Recipe, tag_list: TagList, folder: Path) -> None:
    """`open_clip_config.json`, weights, the tokenizer where it is not CLIP's own, and the texts of the tags.

    `network` is ml.models.clip.Clip of a model of open_clip. Its low-rank adapters are merged, in place.
    """
    import open_clip

    from ml.models.lora import merge_adapters
    from ml.models.prompts import tag_text

    merge_adapters(network)
    config = json.loads(json.dumps(open_clip.get_model_config(recipe.card.architecture)))
    if recipe.card.options.get("force_quick_gelu"):
        config["quick_gelu"] = True
    config["vision_cfg"] |= {"image_size": recipe.size, "timm_model_pretrained": False}
    image, view = recipe.card.input, recipe.evaluation_view
    shown = {
        "size": view.size,
        "mean": image.mean,
        "std": image.std,
        "interpolation": view.interpolation,
        "resize_mode": "shortest" if view.fit == "box" else view.fit,
        "fill_color": round(view.fill[0]),
    }
    write_json({"model_cfg": config, "preprocess_cfg": shown}, folder / "open_clip_config.json")
    whole = dict(network.model.state_dict()) | {"logit_scale": network.logit_scale.data}
    if network.logit_bias is not None:
        whole["logit_bias"] = network.logit_bias.data
    save_file({n: t.contiguous().clone() for n, t in whole.items()}, folder / "open_clip_model.safetensors")
    if config["text_cfg"].get("hf_tokenizer_name"):
        open_clip.tokenizer.HFTokenizer(network.text_input.tokenizer).save_pretrained(folder)
    texts = {
        facet: [tag_text(tags, tag, network.prompt) for tag in range(len(tags))]
        for facet, tags in tag_list.facets.items()
    }
    write_json(texts, folder / TEXTS)


def write_for_library(network: Network, recipe: Recipe, tag_list: TagList, folder: Path) -> float:
    """Write the network as its library loads it, load it so, and return the largest difference of logits.

    Over three random images. Adapters of `network` are merged, in place.
    """
    images = torch.randn(3, 3, recipe.size, recipe.size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = _own_logits(network.eval(), images, tag_list)
        if isinstance(network, VisionModel):
            write_timm(network, recipe, folder)
            theirs = _timm_logits(folder, images, tag_list)
        else:
            write_open_clip(network, recipe, tag_list, folder)
            theirs = _open_clip_logits(folder, images, tag_list)
    return max(float((ours[facet] - theirs[facet]).abs().max()) for facet in tag_list.facets)


def _own_logits(network: Any, images: Tensor, tag_list: TagList) -> dict[str, Tensor]:
    answered = network({"image": images})
    if isinstance(network, VisionModel):
        return dict(zip(tag_list.facets, answered, strict=True))
    vectors, _, scale, bias = answered
    added = 0.0 if bias is None else bias
    return {facet: scale * vectors @ network.embed_tags(facet).T + added for facet in tag_list.facets}


def _timm_logits(folder: Path, images: Tensor, tag_list: TagList) -> dict[str, Tensor]:
    import timm

    features = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()(images)
    heads = load_file(folder / HEADS)
    return {facet: features @ heads[f"{facet}.weight"].T + heads[f"{facet}.bias"] for facet in tag_list.facets}


def _open_clip_logits(folder: Path, images: Tensor, tag_list: TagList) -> dict[str, Tensor]:
    import open_clip

    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    vectors = model.eval().encode_image(images, normalize=True)
    texts, logits = json.loads((folder / TEXTS).read_text(encoding="utf-8")), {}
    for facet in tag_list.facets:
        words = model.encode_text(tokenizer(texts[facet]), normalize=True)
        added = getattr(model, "logit_bias", None)
        logits[facet] = model.logit_scale.exp() * vectors @ words.T + (0.0 if added is None else added)
    return logits
