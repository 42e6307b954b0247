"""What the made-up Europeana of a rehearsal holds: providers, concepts and records in the paper's proportions."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

SEED = 340
PROVIDERS = 358  # paper
LOOKS_A_RECORD, MOST_LOOKS, LEAST_LOOKS = 0.01, 2_000, 100  # pictures that are drawn; the others are mixed from them
# Concepts of each facet, so that about 1,230 tags are left, and what they stand below in the AAT. Subjects are listed
# one by one in pipeline/vocabulary/rules.toml.
TREES = {
    "object type": (860, ("300241490", "300185711", "300241489")),
    "material": (300, ("300014611", "300212963", "300206573")),
    "discipline": (62, ("300054134",)),
}
SUBJECTS = ("300015637", "300189808", "300189568", "300015636", "300235692", "300015638")
TOPS = 12  # concepts of a facet that stand directly below its hierarchies
TAIL = 1.1  # the exponent of the frequencies by rank
OWN = 0.5  # of a provider's objects are of its own few types
COPIES, EXACT = 0.02, 0.25  # of all pictures, and of these with the same bytes
MORE_VIEWS = 0.03  # of all records show the object of the record before from another side
FAULTS = {"gone": 0.012, "cut": 0.008, "page": 0.005, "tiny": 0.005}  # 3 % of all pictures
NEW, CHANGED, WITHDRAWN = 0.002, 0.007, 0.001  # of all records on the second day


@dataclass(frozen=True)
class Plan:
    """Everything about `size` records of the first day, and a few more of the second, as arrays by record number."""

    size: int

    @property
    def everything(self) -> int:
        """How many records there are on either day."""
        return self.size + max(1, round(self.size * NEW))

    def rng(self, what: int) -> np.random.Generator:
        """A generator of its own for each thing that is drawn."""
        return np.random.default_rng([SEED, self.size, what])

    @property
    def providers(self) -> int:
        """How many providers there are: the paper's, unless that is too many for so few records."""
        return min(PROVIDERS, self.everything // 5)

    @cached_property
    def provider(self) -> np.ndarray:
        """The provider of each record; the largest has a ninth of all, the smallest one."""
        rank = np.arange(1, self.providers + 1)
        weights = rank**-0.6 * np.exp(-rank / 45)
        counts = np.maximum(1, (weights / weights.sum() * self.everything).astype(int))
        counts[0] += self.everything - counts.sum()
        return self.rng(1).permutation(np.repeat(np.arange(self.providers), counts))

    @cached_property
    def kind(self) -> np.ndarray:
        """The object type of each record."""
        rng, count = self.rng(2), TREES["object type"][0]
        of_all = rng.choice(count, self.everything, p=_tail(count))
        own = rng.integers(0, count, (self.providers, 12))
        of_house = own[self.provider, rng.integers(0, 12, self.everything)]
        return np.where(rng.random(self.everything) < OWN, of_house, of_all)

    @cached_property
    def like(self) -> np.ndarray:
        """The record whose picture each record has; its own number where it is no copy. No copy has a copy."""
        rng, numbers = self.rng(3), np.arange(self.everything)
        copies = rng.random(self.everything) < COPIES
        originals = np.flatnonzero(~copies)
        return np.where(copies, rng.choice(originals, self.everything), numbers)

    @cached_property
    def exact(self) -> np.ndarray:
        """Whether a copy has the same bytes."""
        return self.rng(4).random(self.everything) < EXACT

    @cached_property
    def view(self) -> np.ndarray:
        """1 where the record shows the object of the one before once more."""
        more = self.rng(5).random(self.everything) < MORE_VIEWS
        more[0] = False
        return more.astype(int)

    @cached_property
    def fault(self) -> list[str]:
        """What is the matter with the picture of each record; empty for nothing."""
        names = ["", *FAULTS]
        shares = [1 - sum(FAULTS.values()), *FAULTS.values()]
        return [names[at] for at in self.rng(6).choice(len(names), self.everything, p=shares)]

    @cached_property
    def looks(self) -> int:
        """How many pictures are drawn."""
        return int(np.clip(self.size * LOOKS_A_RECORD, LEAST_LOOKS, MOST_LOOKS))

    def concepts(self, facet: str) -> list[tuple[str, str, str]]:
        """Id, label and parent of each concept; the more frequent stand above the rarer."""
        count, hierarchies = TREES[facet]
        rng, first = np.random.default_rng([SEED, 7, count]), 399_100_000 + 10_000 * list(TREES).index(facet)
        parents = [int(rng.integers(0, max(TOPS, at // 2))) for at in range(count)]
        return [
            (
                f"{first + at}",
                f"{facet} {at}",
                hierarchies[at % len(hierarchies)] if at < TOPS else f"{first + parents[at]}",
            )
            for at in range(count)
        ]

    def drawn(self, facet: str, salt: int) -> np.ndarray:
        """A concept of the facet for each record, with a long tail; types and materials go together in part."""
        count = TREES[facet][0]
        rng = self.rng(salt)
        of_all = rng.choice(count, self.everything, p=_tail(count))
        return np.where(rng.random(self.everything) < OWN, (self.kind * 7) % count, of_all)

    def share(self, salt: int, part: float) -> np.ndarray:
        """A mask of this share of the records."""
        return self.rng(salt).random(self.everything) < part


def _tail(count: int) -> np.ndarray:
    weights = (np.arange(count) + 3.0) ** -TAIL
    return weights / weights.sum()
