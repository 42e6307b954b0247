"""The metrics by definition: every order of tied tags is written out, and its metric averaged. Slow, and the truth."""

from fractions import Fraction
from functools import lru_cache
from itertools import permutations, product


@lru_cache(maxsize=1)
def orders(scores: tuple[float, ...]) -> list[list[int]]:
    """Every ranking of the tags that the scores allow; several metrics of one case share it."""
    blocks = [[t for t, s in enumerate(scores) if s == value] for value in sorted(set(scores), reverse=True)]
    return [
        [tag for block in choice for tag in block]
        for choice in product(*(list(permutations(block)) for block in blocks))
    ]


def expected(scores: list[float], relevant: set[int], metric, *arguments) -> Fraction:
    """The mean of a metric of a ranking, a count and what it is a part of, over all rankings."""
    rankings = orders(tuple(scores))
    values = [metric(ranking, relevant, *arguments) for ranking in rankings]
    return Fraction(sum(count for count, _ in values), values[0][1] * len(rankings))


def r_precision(ranking: list[int], relevant: set[int], extra: int = 0) -> tuple[int, int]:
    size = len(relevant) + extra
    return len(set(ranking[:size]) & relevant), size


def accuracy(ranking: list[int], relevant: set[int], k: int) -> tuple[int, int]:
    return bool(set(ranking[:k]) & relevant), 1


def mean_position(ranking: list[int], relevant: set[int], extra: int = 0) -> tuple[int, int]:
    places = [ranking.index(tag) + 1 for tag in relevant]
    places += [len(ranking) + 1 + number for number in range(extra)]
    return sum(places), len(places)


def leaf_r_precision(ranking: list[int], relevant: set[int], stated: set[int]) -> tuple[int, int]:
    return r_precision([tag for tag in ranking if tag in stated or tag not in relevant], stated)
