"""What the rendered museum holds: every object, its views, copies and faults, drawn from the seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from pipeline.sandbox.catalogue import DISCIPLINES, KINDS, Kind
from pipeline.sandbox.drawing.photograph import Thing
from pipeline.sandbox.providers import OVERTAGGED, PROVIDERS, Provider

MORE_VIEWS = 0.08  # of objects have two or three photographs, each a record of its own
MOTIF = 0.5  # of objects that can carry a motif do
EXACT_COPIES, NEAR_COPIES = 0.02, 0.035  # of images, beside the originals
Image = Literal["file", "dead_original", "missing", "none"]
Copy = Literal["exact", "jpeg", "crop", "small"]
# Further records, beside those with an image: what is wrong, of which type, how many.
FAULTY: tuple[tuple[Image, str, float], ...] = (
    ("missing", "IMAGE", 0.012),  # 404, and the thumbnail is a placeholder
    ("dead_original", "IMAGE", 0.012),  # 404, but the thumbnail works
    ("none", "IMAGE", 0.006),  # without a thumbnail: a harvest filters it out
    ("none", "TEXT", 0.006),  # no image at all
)


@dataclass(frozen=True)
class Holding:
    """One record: a photograph of a thing at a provider; `copy_of` numbers the record whose image it repeats."""

    number: int
    provider: Provider
    kind: Kind
    thing: Thing
    view: int = 0
    copy_of: int | None = None
    copy: Copy | None = None
    image: Image = "file"
    media_type: str = "IMAGE"
    rights: str = ""


def holdings(seed: int, images: int) -> list[Holding]:
    """All records of the museum; `images` of them have an image file."""
    rng = np.random.default_rng([seed, 0])
    copies = round(images * (EXACT_COPIES + NEAR_COPIES))
    scenes = Scenes()
    planned: list[Holding] = []
    for provider, count in zip(PROVIDERS, _counts(images - copies), strict=True):
        for kind, thing, view in _photographs(provider, count, scenes, rng):
            planned.append(Holding(len(planned), provider, kind, thing, view, rights=_rights(provider, rng)))
    originals = list(planned)
    for copy in _copies(originals, images, rng):
        planned.append(replace(copy, number=len(planned), rights=_rights(copy.provider, rng)))
    for image, media_type, share in FAULTY:
        for _ in range(max(1, round(images * share))):
            like = originals[int(rng.integers(len(originals)))]
            thing = replace(like.thing, seed=_seed(rng))
            extra = replace(like, number=len(planned), thing=thing, view=0, media_type=media_type)
            planned.append(replace(extra, image=image, rights=_rights(like.provider, rng)))
    return planned


def _counts(images: int) -> list[int]:
    """Images of each provider: its share, at least one, all together as many as asked for."""
    exact = [provider.share * images for provider in PROVIDERS]
    counts = [max(1, int(number)) for number in exact]
    rest = sorted(range(len(exact)), key=lambda at: (int(exact[at]) - exact[at], at))
    for at in (rest * 2)[: max(0, images - sum(counts))]:
        counts[at] += 1
    counts[0] += images - sum(counts)
    return counts


def _photographs(
    provider: Provider, count: int, scenes: "Scenes", rng: np.random.Generator
) -> Iterator[tuple[Kind, Thing, int]]:
    weights = np.array([kind.weight * provider.leaning.get(kind.domain, provider.others) for kind in KINDS])
    made = 0
    while made < count:
        kind = KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))]
        thing = _thing(kind, scenes, rng)
        views = int(rng.integers(2, 4)) if rng.random() < MORE_VIEWS else 1
        for view in range(min(views, count - made)):
            yield kind, thing, view
            made += 1


def _thing(kind: Kind, scenes: "Scenes", rng: np.random.Generator) -> Thing:
    motif = None
    if kind.motif_at is not None and rng.random() < MOTIF:
        motif = list(DISCIPLINES)[int(rng.integers(len(DISCIPLINES)))]
    return Thing(
        shape=kind.shape,
        material=_weighted(kind.materials, rng),
        second=kind.second[int(rng.integers(len(kind.second)))] if kind.second else None,
        seed=_seed(rng),
        motif=motif,
        motif_at=kind.motif_at or (0.0, 0.0, 0.0),
        scene=scenes.next(kind),
        technique=kind.technique,
    )


@dataclass
class Scenes:
    """Gives the objects of each kind their scenes in the kind's proportions, so that rare scenes occur too."""

    dealt: dict[tuple[str, str], int] = field(default_factory=dict)

    def next(self, kind: Kind) -> str | None:
        """The scene that is furthest behind its share."""
        if not kind.scenes:
            return None
        total = 1 + sum(self.dealt.get((kind.concept, name), 0) for name in kind.scenes)
        weights = sum(kind.scenes.values())
        behind = {
            name: weight / weights * total - self.dealt.get((kind.concept, name), 0)
            for name, weight in kind.scenes.items()
        }
        scene = max(behind, key=lambda name: behind[name])
        self.dealt[kind.concept, scene] = self.dealt.get((kind.concept, scene), 0) + 1
        return scene


def _copies(originals: Sequence[Holding], images: int, rng: np.random.Generator) -> Iterator[Holding]:
    """Images that occur twice, half of them at another provider, with the same or nearly the same bytes."""
    near: tuple[Copy, ...] = ("jpeg", "crop", "small")
    kept = [holding for holding in originals if holding.provider.name != OVERTAGGED]
    for number in range(images - len(originals)):
        like = kept[int(rng.integers(len(kept)))]
        other = kept[int(rng.integers(len(kept)))].provider
        exact = number < round(images * EXACT_COPIES)
        yield replace(
            like,
            provider=other if rng.random() < 0.5 else like.provider,
            copy_of=like.number,
            copy="exact" if exact else near[int(rng.integers(len(near)))],
        )


def _rights(provider: Provider, rng: np.random.Generator) -> str:
    if provider.closed and rng.random() < provider.closed_share:
        return provider.closed[int(rng.integers(len(provider.closed)))]
    return provider.rights[int(rng.integers(len(provider.rights)))]


def _weighted(weights: dict[str, float], rng: np.random.Generator) -> str:
    shares = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(weights), p=shares / shares.sum()))]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
