"""Pictures whose tags people confirmed, as a model's memory takes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_GROUP = -1  # of an image whose group is not known


@dataclass(frozen=True)
class Confirmed:
    """A picture with the tags that hold for it. `features` are those of the model, float32, of unit length."""

    image_id: str
    key: int  # its number at the desk, at least 0; what is confirmed later replaces it
    features: NDArray[np.float32]
    tag_ids: tuple[str, ...]  # with the tags above them
    group: int  # ml.dataset.split.group_key, or NO_GROUP
