"""How large the losses of the vision rows are with 50 and with 1,227 tags in a facet.

`python -m benchmarks.loss_size` prints a line of JSON per number of tags and exponent: the k-th tag has 1/k^exponent of
the images of the first, over 100,000 images with three tags each. Features are random, of length 1 in the mean, and
heads begin as ours do.
"""

import json

import numpy as np
import torch
from torch import Tensor

from ml.dataset.tag_list import FacetTags
from ml.models.heads.multilabel import Multilabel
from ml.models.heads.softmax import Softmax

SIZES, EXPONENTS = (50, 1_227), (1.0, 1.5)
IMAGES, TAGS_PER_IMAGE, BATCH, WIDTH = 100_000, 3, 512, 1_024


def main() -> None:
    """One line per size and exponent."""
    for exponent in EXPONENTS:
        for size in SIZES:
            print(json.dumps({"exponent": exponent, "tags": size} | measured(facet_of(size, exponent))))


def facet_of(size: int, exponent: float) -> FacetTags:
    """A facet without hierarchy whose counts follow Zipf's law."""
    shares = np.arange(1.0, size + 1) ** -exponent
    counts = np.maximum(1, np.round(shares / shares.sum() * IMAGES * TAGS_PER_IMAGE)).clip(max=IMAGES)
    names = tuple(map(str, range(size)))
    return FacetTags("materials", names, names, (-1,) * size, tuple(int(count) for count in counts))


def measured(tags: FacetTags) -> dict[str, float]:
    """Loss and gradient of the multi-label head at its start, and the class weights of the softmax head."""
    torch.manual_seed(0)
    share = torch.tensor(tags.n_train) / IMAGES
    closed = torch.rand(BATCH, len(tags)) < share
    features = torch.randn(BATCH, WIDTH) / WIDTH**0.5
    head = Multilabel(WIDTH, tags)
    found = {}
    for name in ("zero", "prior"):
        if name == "prior":
            head.start_at_prior(tags, IMAGES)
        loss, positive, norm = _multilabel(head, features, closed)
        found |= {f"bce_{name}": loss, f"bce_{name}_of_positives": positive, f"bce_{name}_gradient": norm}
    weights = Softmax(WIDTH, tags, class_weights=True).class_weight.double()
    free = tags.class_weights([0] * len(tags), cap=float("inf"))
    images = torch.tensor(tags.n_train, dtype=torch.float64)
    capped = weights >= 10
    return {name: round(value, 4) for name, value in found.items()} | {
        "wce_tags_at_cap": round(float(capped.double().mean()), 4),
        "wce_images_at_cap": round(float(images[capped].sum() / images.sum()), 4),
        "wce_largest_without_cap": round(float(free.max()), 1),
        "wce_share_of_loss_at_cap": round(float((weights * images)[capped].sum() / (weights * images).sum()), 4),
        "wce_mean_weight": round(float((weights * images).sum() / images.sum()), 4),
    }


def _multilabel(head: Multilabel, features: Tensor, closed: Tensor) -> tuple[float, float, float]:
    """The loss per image, the part of it that stated tags make, and the gradient's length over the head."""
    head.zero_grad()
    logits = head(features)
    loss = head.elements(logits, closed.float()).sum() / len(features)
    positive = (head.elements(logits, closed.float()) * closed).sum() / len(features)
    loss.backward()
    norm = torch.cat([parameter.grad.reshape(-1) for parameter in head.parameters()]).norm()  # type: ignore[union-attr]
    return loss.item(), (positive / loss).item(), norm.item()


if __name__ == "__main__":
    main()
