"""What a test can tell: the one rule, from its figures and the bounds in the settings."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from ml.evaluation.units import unit_of
from pipeline.settings import EvaluationSettings

Word = Literal["tells", "weak", "cannot tell"]
TELLS: Word = "tells"  # a verdict on rows can be read off it
WEAK: Word = "weak"  # it asks about pictures, but is too small for a verdict
CANNOT_TELL: Word = "cannot tell"  # it asks nothing that pictures decide


@dataclass(frozen=True)
class Figures:
    """What is known of the test of one split and facet, or of the mean of its facets. Figures are R-Precision.

    `constant` is the best ranking without pictures, chosen on the test; `probe` and `ceiling` are linear probes on the
    features, trained on the training images and inside the test.
    """

    split: str
    facet: str
    images: int  # with a right tag that occurs in training
    groups: int
    providers: int
    support: float | None = None  # share of the right tags, counted by image, that occur in training
    constant: float | None = None
    prior: float | None = None  # tags by their frequency in training
    provider_alone: float | None = None  # tags by their frequency at the image's provider in training
    probe: float | None = None
    ceiling: float | None = None

    @property
    def pictures(self) -> float | None:
        """What pictures give at least: the better of the two probes; None where neither is known.

        Inside, where a test is small and has the museums of the training set, the probe trained there is the better.
        """
        return max((value for value in (self.probe, self.ceiling) if value is not None), default=None)

    @property
    def units(self) -> int:
        """Images' groups on the inner test, providers on the outer test."""
        return self.providers if unit_of(self.split) == "provider" else self.groups


class Lack(NamedTuple):
    """Something that a test lacks, as a clause, and the settings that would change it."""

    what: str
    settings: str
    decisive: bool  # nothing can be told without it


def lacks(figures: Figures, settings: EvaluationSettings) -> list[Lack]:
    """What keeps a test from carrying a verdict, the decisive first; empty where it tells."""
    if not figures.images or figures.constant is None or figures.support is None:
        nothing = "no image has a right tag that occurs in training"
        return [Lack(nothing, _other_images(figures.split), True)]
    found = []
    if figures.support < settings.least_support:
        share = f"{figures.support:.0%} of the right tags occur in training, {settings.least_support:.0%} are needed"
        found.append(Lack(share, _other_images(figures.split), True))
    if (headroom := _headroom(figures)) < settings.least_headroom:
        best = "at most 1" if figures.pictures is None else f"{figures.pictures:.2f}"
        asked = (
            f"one ranking for all images reaches {figures.constant:.2f} and pictures {best}: they add "
            f"{max(0.0, headroom):.2f}, {settings.least_headroom:.2f} are needed"
        )
        found.append(Lack(asked, _other_images(figures.split), True))
    return found + _too_small(figures, settings)


def _too_small(figures: Figures, settings: EvaluationSettings) -> list[Lack]:
    found = []
    if figures.pictures is None:
        unknown = "there are no features, so nobody knows what pictures could give"
        found.append(Lack(unknown, "features.extractors", False))
    if unit_of(figures.split) == "provider":
        if figures.providers < settings.least_providers:
            few = f"{_count(figures.providers, 'provider')}, {settings.least_providers} are needed"
            found.append(Lack(few, "splits.outer_providers", False))
        if figures.images < settings.least_images:
            few = f"{_count(figures.images, 'image')}, {settings.least_images} are needed"
            found.append(Lack(few, "splits.outer_max_share", False))
    elif figures.groups < settings.least_groups:
        few = f"{_count(figures.groups, 'group')} of images, {settings.least_groups} are needed"
        found.append(Lack(few, _other_images(figures.split), False))
    return found


def word_of(figures: Figures, settings: EvaluationSettings) -> Word:
    """One word for what a test can tell."""
    found = lacks(figures, settings)
    if any(lack.decisive for lack in found):
        return CANNOT_TELL
    return WEAK if found else TELLS


def sentence(figures: Figures, settings: EvaluationSettings) -> str:
    """What a test lacks and which settings would change it, as a sentence; empty where it tells."""
    found = lacks(figures, settings)
    if not found:
        return ""
    changes = dict.fromkeys(name for lack in found for name in lack.settings.split(", "))
    return f"{_capital('; '.join(lack.what for lack in found))}. Settings that change it: {', '.join(changes)}."


def _headroom(figures: Figures) -> float:
    """What pictures add to the best constant ranking; where no probe is known, what a perfect ranking adds."""
    best = 1.0 if figures.pictures is None else figures.pictures
    return round(best - (figures.constant or 0.0), 9)  # .6 - .55 is .05


def _other_images(split: str) -> str:
    """The settings that choose other images for a test."""
    if unit_of(split) == "provider":
        return "splits.outer_min_share, splits.outer_max_share, splits.outer_min_entropy_bits, splits.reselect"
    return "splits.test_share, splits.min_test_images" if split == "inner_test" else "splits.validation_share"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
