"""The decisions that count where two people have decided on an image: the rule for training and for exports."""

from collections import defaultdict
from typing import Literal

from ml.assistant.current_decisions import Decision, current_decisions
from ml.assistant.opinions import Rating, Settlement, finished_pairs, read_ratings, read_settlements
from ml.assistant.store import Store

SecondOpinions = Literal["settled", "first"]  # curation.second_opinions in the settings


def counted_decisions(
    store: Store, image_id: str | None = None, *, rule: SecondOpinions = "settled"
) -> dict[str, list[Decision]]:
    """The decisions on one image or on all, by the image's id; second opinions have no entry of their own.

    With the rule `settled`, what two people agree on counts, and what a reviewer settled; other differences count for
    nothing. With `first`, the first opinion counts alone. Until both people are done, the first opinion counts.
    """
    first = current_decisions(store, image_id)
    pairs = {each.image_id: each.second for each in finished_pairs(store) if image_id in (None, each.image_id)}
    if rule == "first" or not pairs:
        return first
    by_image: defaultdict[str, list[Rating]] = defaultdict(list)
    for rating in read_ratings(store):
        by_image[rating.image_id].append(rating)
    settled = read_settlements(store)
    for image, second_id in pairs.items():
        second = first.pop(second_id, None) or current_decisions(store, second_id).get(second_id, [])
        of_image = {tag: each for (of, tag), each in settled.items() if of == image}
        first[image] = _of_two(image, first.get(image, []), second, by_image[image], of_image)
    return first


def _of_two(
    image_id: str, first: list[Decision], second: list[Decision], ratings: list[Rating], settled: dict[str, Settlement]
) -> list[Decision]:
    differ = {each.tag_id for each in ratings if each.differs}
    agreed = {each.tag_id: each for each in (*second, *first) if each.tag_id not in differ}
    lines = [*agreed.values(), *(_settled(image_id, tag, settled[tag]) for tag in sorted(differ & set(settled)))]
    return sorted(lines, key=lambda line: line.decision_id)


def _settled(image_id: str, tag_id: str, by: Settlement) -> Decision:
    decision_id = f"{image_id[:24]}-settled-{tag_id}-{by.number}"
    return Decision(decision_id, tag_id, by.accepted, by.who, by.at, clicks=0, model=None, score=None, rank=None)
