"""What is known of a network: its architecture, its weights and their licence, its pictures and its texts.

A card is read from the publisher's own configuration (ml.models.cards) and kept in `model.json`. Nothing here imports
torch, so that Dagster's graph loads at once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ml.dataset.transforms import Fit, Interpolation, View

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Licence:
    """The licence of weights: an SPDX identifier, `LicenseRef-…` where SPDX has none."""

    spdx: str
    commercial_use: bool | None  # None: nobody says
    source: str  # who says so

    def __str__(self) -> str:
        use = {True: "", False: ", not for commercial use", None: ", ask its publisher about commercial use"}
        return self.spdx + use[self.commercial_use]


@dataclass(frozen=True)
class Weights:
    """One file of published weights, and where it is from.

    `sha256` is None until the file was seen once; from then on another file under the same name is refused.
    """

    name: str  # `convnext_base.fb_in1k`, `ViT-B-16:openai`, or a path
    source: str  # `huggingface.co/<repository>`, an address, or a folder
    file: str  # the file's name at its source
    revision: str | None = None  # the commit of the repository
    sha256: str | None = None


@dataclass(frozen=True)
class ImageInput:
    """How a picture becomes the network's input.

    `fit`: `shortest` scales the short side to size / part and cuts the centre out; `squash` scales both sides to it;
    `longest` scales the long side to it and pads the rest; `box` cuts the central square of `part` of the short side
    out and scales it in one step (networks of this project).
    """

    size: int  # pixels
    mean: Triple
    std: Triple
    interpolation: Interpolation
    fit: Fit
    part: float = 1.0
    fill: Triple = (0.0, 0.0, 0.0)  # of 255, beside a picture that is padded
    fixed: bool = False  # whether the network is built for one size

    def evaluation(self, size: int | None = None, part: float | None = None) -> View:
        """How evaluation shows a picture, at the network's own size and part or at others."""
        return View(
            size or self.size,
            part=self.part if part is None else part,
            interpolation=self.interpolation,
            fit=self.fit,
            fill=self.fill,
        )

    def training(self, crop_scale: tuple[float, float], size: int | None = None) -> View:
        """How training shows a picture: a random part of it, mirrored or not."""
        return View(size or self.size, crop_scale, interpolation=self.interpolation)


@dataclass(frozen=True)
class TextInput:
    """How a text becomes tokens."""

    tokenizer: str  # `clip`: CLIP's byte pairs, shipped with open_clip; else a tokenizer of Hugging Face, or its folder
    context: int  # tokens
    cleaning: Literal["lower", "whitespace", "canonicalize"] = "lower"  # open_clip's names
    options: Mapping[str, Any] = field(default_factory=dict)  # what else the tokenizer class is given
    # of a text tower beside another image network; a model of open_clip has both towers in one file
    weights: Weights | None = None
    licence: Licence | None = None


@dataclass(frozen=True)
class NetworkCard:
    """One network: what its library builds, from which weights, and what it reads."""

    library: Literal["timm", "open_clip", "eufcc"]
    architecture: str  # the library's name of it
    options: Mapping[str, Any]  # what its constructor is given besides
    weights: Weights | None  # None: random
    licence: Licence | None  # of the weights
    input: ImageInput
    text: TextInput | None = None

    def as_json(self) -> dict[str, Any]:
        """The card for model.json."""
        return asdict(self)

    @staticmethod
    def from_json(described: Mapping[str, Any]) -> "NetworkCard":
        """The card that `as_json` wrote."""
        image, text = dict(described["input"]), described["text"]
        image |= {name: tuple(image[name]) for name in ("mean", "std", "fill")}
        return NetworkCard(
            library=described["library"],
            architecture=described["architecture"],
            options=described["options"],
            input=ImageInput(**image),
            **_weights_of(described),
            text=TextInput(**(text | _weights_of(text))) if text else None,
        )

    @property
    def origin(self) -> str:
        """A sentence part on where the weights come from; `random` where they come from nowhere."""
        own = _origin(self.weights, self.licence)
        if self.library == "open_clip" or self.text is None:
            return own
        text = _origin(self.text.weights, self.text.licence)
        return "random" if own == text == "random" else f"image tower {own}; text tower {text}"


def _weights_of(described: Mapping[str, Any]) -> dict[str, Any]:
    weights, licence = described["weights"], described["licence"]
    return {"weights": Weights(**weights) if weights else None, "licence": Licence(**licence) if licence else None}


def _origin(weights: Weights | None, licence: Licence | None) -> str:
    return "random" if weights is None else f"{weights.name} from {weights.source} ({licence or 'no licence is known'})"
