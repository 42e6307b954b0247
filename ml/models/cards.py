"""The cards of networks, read from the configuration that their publisher ships with timm or open_clip."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from ml.models.architectures import Backbone
from ml.models.card import Fit, ImageInput, Licence, NetworkCard, TextInput, Weights
from ml.models.weights import WEIGHTS, WeightsError, pin_of

LICENCES = tomllib.loads(Path(__file__).with_name("licences.toml").read_text(encoding="utf-8"))
TIMM_FITS: dict[str, Fit] = {"center": "shortest", "squash": "squash", "border": "longest"}
LOCAL = "local-dir:"  # open_clip's prefix of a folder with open_clip_config.json, weights and tokenizer
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # as open_clip looks for them
# ml/models/gabor.py: fixed filters, and a small part that is trained here
GABOR = ImageInput(size=128, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", fit="box")


def backbone_card(backbone: Backbone, pretrained: bool = True) -> NetworkCard:
    """The card of an image network. Raises WeightsError when timm does not know its name."""
    if backbone.name == "gabor":
        return NetworkCard("eufcc", "gabor", backbone.options, None, None, GABOR)
    from timm.models import get_pretrained_cfg

    published = get_pretrained_cfg(backbone.name)
    if published is None:
        raise WeightsError(f"timm has no network `{backbone.name}`: `timm.list_models()` lists them.")
    known = WEIGHTS.get(backbone.weights or "") if pretrained else None
    image = timm_input(vars(published) | (dict(known.input) if known else {}))
    card = NetworkCard("timm", backbone.name.partition(".")[0], backbone.options, None, None, image)
    if not pretrained:
        return card
    if backbone.weights is None:
        weights = Weights(backbone.name, *_timm_source(published), *pin_of(backbone.name))
        licence = licence_of(published.license, f"timm's configuration of {backbone.name}")
        return replace(card, weights=weights, licence=licence)
    if known is not None:
        return replace(card, weights=known.as_weights, licence=known.as_licence)
    return replace(card, weights=file_weights(Path(backbone.weights)))


def open_clip_card(name: str, pretrained: bool = True) -> NetworkCard:
    """The card of a model of open_clip: `ViT-B-16:openai`, `ViT-B-16` (random weights), or `local-dir:/folder`.

    Raises WeightsError for a name that open_clip does not know.
    """
    if name.startswith(LOCAL):
        return _local_card(Path(name.removeprefix(LOCAL)), pretrained)
    from open_clip import get_model_config, get_pretrained_cfg

    architecture, _, tag = name.partition(":")
    model, published = get_model_config(architecture), get_pretrained_cfg(architecture, tag) if tag else {}
    if model is None or (tag and not published):
        raise WeightsError(f"open_clip has no model `{name}`: `open_clip.list_pretrained(as_str=True)` lists them.")
    options = {"force_quick_gelu": True} if published.get("quick_gelu") and not model.get("quick_gelu") else {}
    image = open_clip_input(model, published)
    card = NetworkCard("open_clip", architecture, options, None, None, image, text_input(model))
    if not tag or not pretrained:
        return card
    weights = Weights(name, *_open_clip_source(published), *pin_of(name))
    return replace(card, weights=weights, licence=_open_clip_licence(name))


def licence_of(name: str | None, source: str) -> Licence | None:
    """The licence that timm or Hugging Face calls by this name; None where there is none."""
    if not name or name == "unknown":
        return None
    known = LICENCES["spdx"].get(name)
    return (
        Licence(known["spdx"], known["commercial_use"], source)
        if known
        else Licence(f"LicenseRef-{name}", None, source)
    )


def timm_input(published: Mapping[str, Any]) -> ImageInput:
    """How a network of timm is shown pictures, as `timm.data.resolve_data_config` reads its configuration."""
    fill = tuple(float(round(255 * value)) for value in published["mean"])
    return ImageInput(
        size=int(published["input_size"][-1]),
        mean=tuple(published["mean"]),
        std=tuple(published["std"]),
        interpolation=_interpolation(published["interpolation"]),
        fit=TIMM_FITS[published["crop_mode"]],
        part=float(published["crop_pct"]),
        fill=fill if published["crop_mode"] == "border" else (0.0, 0.0, 0.0),  # type: ignore[arg-type]
        fixed=bool(published["fixed_input_size"]),
    )


def open_clip_input(model: Mapping[str, Any], published: Mapping[str, Any]) -> ImageInput:
    """How a model of open_clip is shown pictures: its configuration over open_clip's defaults."""
    from open_clip.transform import PreprocessCfg

    chosen = vars(PreprocessCfg()) | {name: value for name, value in published.items() if value is not None}
    size = published.get("size") or model["vision_cfg"].get("image_size", chosen["size"])
    return ImageInput(
        size=int(size[0] if isinstance(size, list | tuple) else size),
        mean=tuple(chosen["mean"]),
        std=tuple(chosen["std"]),
        interpolation=_interpolation(chosen["interpolation"]),
        fit=chosen["resize_mode"],
        fill=(float(chosen["fill_color"]),) * 3,
        fixed=True,
    )


def text_input(model: Mapping[str, Any], folder: Path | None = None) -> TextInput:
    """How a model of open_clip reads texts; a tokenizer of Hugging Face lies in `folder` where there is one."""
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH

    described = model["text_cfg"]
    options = dict(described.get("tokenizer_kwargs", {}))
    named = described.get("hf_tokenizer_name")
    return TextInput(
        tokenizer=str(folder or named) if named else "clip",
        context=int(described.get("context_length", DEFAULT_CONTEXT_LENGTH)),
        cleaning=options.pop("clean", "whitespace" if named else "lower"),
        options=options | ({"tokenizer_mode": described["tokenizer_mode"]} if "tokenizer_mode" in described else {}),
    )


def file_weights(file: Path) -> Weights:
    """Weights in a file of the user's."""
    return Weights(str(file), str(file.parent), file.name)


def _local_card(folder: Path, pretrained: bool) -> NetworkCard:
    try:
        described = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
        model = described["model_cfg"]
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise WeightsError(f"{folder} has no open_clip_config.json that can be read ({error}).") from error
    image = open_clip_input(model, described.get("preprocess_cfg", {}))
    card = NetworkCard("open_clip", f"{LOCAL}{folder}", {}, None, None, image, text_input(model, folder))
    file = next((folder / name for name in FILES if (folder / name).is_file()), folder / FILES[0])
    return replace(card, weights=file_weights(file)) if pretrained else card


def _timm_source(published: Any) -> tuple[str, str]:
    """The repository or address of a network of timm, and the file there."""
    if published.hf_hub_id:
        return f"huggingface.co/{published.hf_hub_id}", published.hf_hub_filename or "model.safetensors"
    return _from_address(published.url, published.architecture)


def _open_clip_source(published: Mapping[str, Any]) -> tuple[str, str]:
    """As open_clip does: the hub where it is there, else the address."""
    if published.get("hf_hub"):
        repository, _, file = published["hf_hub"].rpartition("/")
        return f"huggingface.co/{repository}", file or FILES[0]
    return _from_address(published.get("url"), "the model")


def _from_address(address: str | None, name: str) -> tuple[str, str]:
    if not address:
        raise WeightsError(f"Nobody publishes weights of {name}: train from random weights (pretrained=false).")
    return address, address.rpartition("/")[2]


def _open_clip_licence(name: str) -> Licence | None:
    for entry in LICENCES["open_clip"]:
        if fnmatch(name, entry["weights"]):
            return licence_of(entry["licence"], entry["source"])
    return None


def _interpolation(name: str) -> Literal["bilinear", "bicubic"]:
    if name not in ("bilinear", "bicubic"):
        raise WeightsError(
            f"A network that wants its pictures resized by `{name}` cannot be used: bilinear or bicubic."
        )
    return name  # type: ignore[return-value]
