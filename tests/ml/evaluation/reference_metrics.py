"""The metrics by definition: every order of tied tags is written out, and its metric averaged. Slow, and the truth."""

from fractions import Fraction
from itertools import permutations, product


def orders(scores: list[float]) -> list[list[int]]:
    """Every ranking of the tags that the scores allow."""
    blocks = [[t for t, s in enumerate(scores) if s == value] for value in sorted(set(scores), reverse=True)]
    return [
        [tag for block in choice for tag in block]
        for choice in product(*(list(permutations(block)) for block in blocks))
    ]


def expected(scores: list[float], relevant: set[int], metric, *arguments) -> Fraction:
    """The mean of a metric of a ranking over all rankings."""
    rankings = orders(scores)
    return sum((metric(ranking, relevant, *arguments) for ranking in rankings), Fraction(0)) / len(rankings)


def r_precision(ranking: list[int], relevant: set[int], extra: int = 0) -> Fraction:
    size = len(relevant) + extra
    return Fraction(len(set(ranking[:size]) & relevant), size)


def accuracy(ranking: list[int], relevant: set[int], k: int) -> Fraction:
    return Fraction(bool(set(ranking[:k]) & relevant))


def mean_position(ranking: list[int], relevant: set[int], extra: int = 0) -> Fraction:
    places = [ranking.index(tag) + 1 for tag in relevant]
    places += [len(ranking) + 1 + number for number in range(extra)]
    return Fraction(sum(places), len(places))


def leaf_r_precision(ranking: list[int], relevant: set[int], stated: set[int]) -> Fraction:
    return r_precision([tag for tag in ranking if tag in stated or tag not in relevant], stated)
