"""The decisions that count where two people have decided on an image: the rule for training and for exports."""

from collections import defaultdict
from collections.abc import Collection
from typing import Literal

from ml.assistant.current_decisions import Decision, current_decisions
from ml.assistant.opinions import Settlement, finished_pairs, read_ratings, read_settlements
from ml.assistant.store import Store

SecondOpinions = Literal["settled", "first"]  # curation.second_opinions in the settings


def counted_decisions(
    store: Store, image_ids: Collection[str] | None = None, *, rule: SecondOpinions = "settled"
) -> dict[str, list[Decision]]:
    """The decisions on these images or on all, by the image's id; second opinions have no entry of their own.

    With the rule `settled`, what all agree on counts, and what a reviewer settled; other differences count for
    nothing. With `first`, the first opinion counts alone. Until another person is done, the first opinion counts.
    """
    first = current_decisions(store, image_ids)
    seconds: defaultdict[str, list[str]] = defaultdict(list)
    for pair in finished_pairs(store):
        if image_ids is None or pair.image_id in image_ids:
            seconds[pair.image_id].append(pair.second_id)
    if rule == "first" or not seconds:
        return first
    differ: defaultdict[str, set[str]] = defaultdict(set)
    for rating in read_ratings(store):
        if rating.differs:
            differ[rating.image_id].add(rating.tag_id)
    settled = read_settlements(store)
    for image, second_ids in seconds.items():
        others = [first.pop(each, []) or current_decisions(store, [each]).get(each, []) for each in second_ids]
        of_image = {tag: each for (of, tag), each in settled.items() if of == image}
        first[image] = _of_all(image, [first.get(image, []), *others], differ[image], of_image)
    return first


def _of_all(
    image_id: str, opinions: list[list[Decision]], differ: set[str], settled: dict[str, Settlement]
) -> list[Decision]:
    """What the opinions agree on, as the first of them that decided on a tag said it, and what was settled."""
    agreed = {each.tag_id: each for lines in reversed(opinions) for each in lines if each.tag_id not in differ}
    lines = [*agreed.values(), *(_settled(image_id, tag, settled[tag]) for tag in sorted(differ & set(settled)))]
    return sorted(lines, key=lambda line: line.decision_id)


def _settled(image_id: str, tag_id: str, by: Settlement) -> Decision:
    decision_id = f"{image_id[:24]}-settled-{tag_id}-{by.number}"
    return Decision(decision_id, tag_id, by.accepted, by.who, by.at, clicks=0, model=None, score=None, rank=None)
