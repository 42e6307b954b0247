"""A random part of a stored JPEG, scaled by torch in a third of the time that Pillow takes.

The scaling is within 2 of 255 levels of Pillow's; the part's edges are rounded to whole decoded pixels besides.
Pillow still scales what must stay as it is: evaluation, which shows pictures as the networks' publishers do, and
pictures that are decoded beforehand, which are small.
"""

import math
import random

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ml.dataset.transforms import View, decoded


def random_part(picture: Image.Image, view: View, rng: random.Random) -> Tensor:
    """What a draw of `rng` shows of the picture in training: uint8, (size, size, 3).

    As in torchvision's RandomResizedCrop the part is cut out first, in whole pixels of the decoded picture, so nothing
    beside it shines in.
    """
    box, mirrored = view.drawn(*picture.size, rng)
    picture, (left, top, right, bottom) = decoded(picture, box, (view.size, view.size))
    width, height = picture.size
    whole_pixels = (math.floor(left), math.floor(top), min(math.ceil(right), width), min(math.ceil(bottom), height))
    part = torch.from_numpy(np.array(picture.crop(whole_pixels)))
    channels_last = part.unsqueeze(0).permute(0, 3, 1, 2)  # this layout has kernels of its own
    shown = interpolate(channels_last, (view.size, view.size), mode=view.interpolation, antialias=True)
    return (shown.flip(3) if mirrored else shown)[0].permute(1, 2, 0)
