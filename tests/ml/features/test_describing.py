"""One picture is described as those of the table were."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ml.features.describing import describer
from ml.features.extract import describe, recipe_of
from ml.features.extractors import EXTRACTORS
from pipeline.settings import FeatureSettings

SETTINGS = FeatureSettings(extractors=("random-inception",), image_size=75, batch_size=4)
EXTRACTOR = EXTRACTORS["random-inception"]


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((300, 200)).save(out, "PNG")
    return out.getvalue()


def test_a_picture_alone_has_the_vector_that_it_has_in_a_batch():
    pictures = [picture(seed) for seed in range(3)]
    network = EXTRACTOR.build(None).eval().requires_grad_(False)
    together = describe(pictures, network, EXTRACTOR, SETTINGS, torch.device("cpu"))
    alone = describer("random-inception", recipe_of(EXTRACTOR, SETTINGS), SETTINGS)
    for vector, each in zip(together, pictures, strict=True):
        assert np.allclose(alone(each), vector, rtol=1e-2, atol=1e-2)


def test_other_settings_and_missing_weights_are_told(tmp_path):
    with pytest.raises(ValueError, match="have changed since"):
        describer("random-inception", recipe_of(EXTRACTOR, SETTINGS), SETTINGS.model_copy(update={"image_size": 80}))
    missing = SETTINGS.model_copy(update={"weights": tmp_path})
    with pytest.raises(ValueError, match="weights"):
        describer("mobilenetv2", recipe_of(EXTRACTORS["mobilenetv2"], missing), missing)
