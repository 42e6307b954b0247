"""Pictures one by one, described as those of a `features` table were."""

from collections.abc import Callable

import numpy as np
import torch

from ml.features.extract import describe, recipe_of
from ml.features.extractors import EXTRACTORS
from ml.models.weights import WeightsError
from pipeline.settings import FeatureSettings


def describer(name: str, recipe: str, settings: FeatureSettings) -> Callable[[bytes], np.ndarray]:
    """A function from an encoded picture to its vector, float16 [dimensions].

    `recipe`: that of the table's shards. Raises ValueError where these settings describe pictures in another way, or
    where the network is not to be had.
    """
    if name not in EXTRACTORS:
        raise ValueError(f"there is no extractor `{name}`")
    extractor = EXTRACTORS[name]
    if recipe_of(extractor, settings) != recipe:
        raise ValueError(f"the settings of `features` have changed since the stored vectors of `{name}` were made")
    try:
        network = extractor.build(settings.weights).eval().requires_grad_(False)
    except WeightsError as error:
        raise ValueError(str(error)) from error
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    # The table's batches are filled up, for equal bytes; here that would only be slow.
    one = settings.model_copy(update={"batch_size": 1})
    return lambda picture: describe([picture], network, extractor, one, device)[0]
