"""Which pictures with a tag look most like an image: of all training images where their features are stored."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from ml.assistant.likeness import Reader, Vector, likeness
from ml.assistant.limits import AssistantLimits
from ml.assistant.stored_features import StoredFeatures

FeaturesOf = Callable[[Mapping[str, Reader]], Awaitable[dict[str, Vector]]]


@dataclass(frozen=True)
class Nearest:
    """The most alike pictures with their cosines, and how many of those with the tag have been compared."""

    cosines: dict[str, float]
    seen: int
    all: int


async def nearest_by_model(
    image_id: str, own: Reader, tagged: dict[str, Reader], features_of: FeaturesOf, limits: AssistantLimits
) -> Nearest | None:
    """The pictures most alike to a model, which has to look at each of them first; None without its own picture."""
    features = await features_of({image_id: own} | tagged)
    if image_id not in features:
        return None
    cosines = likeness(features.pop(image_id), features)
    best = dict(list(cosines.items())[: limits.most_examples])
    return Nearest(best, len(features), len(tagged))


async def nearest_stored(
    image_id: str,
    own: Reader,
    training: Collection[str],
    decided: dict[str, Reader],
    stored: StoredFeatures,
    described: FeaturesOf,
    limits: AssistantLimits,
) -> Nearest | None:
    """The pictures most alike by the stored features; `described` gives those of pictures that the table lacks."""
    new = {each: read for each, read in ({image_id: own} | decided).items() if each not in stored}
    features = await described(new) if new else {}
    features |= {each: stored.of(each) for each in (image_id, *decided) if each in stored}
    if image_id not in features:
        return None
    one = features.pop(image_id)
    known = [each for each in training if each in stored]
    of_training = await asyncio.to_thread(stored.nearest, one, known, limits.most_examples)
    of_all = (of_training | likeness(one, features)).items()
    best = sorted(of_all, key=lambda pair: (-pair[1], pair[0]))[: limits.most_examples]
    return Nearest(dict(best), len(known) + len(features), len(known) + len(decided))
