"""A sunburst: a hierarchy as rings, from the centre outwards."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.plots.shapes import cut, sector, text, width_of

HOLE = 0.35  # of a ring's width
LEAST_ARC_PX = 10  # of a sector with its name
LEAST_LETTERS = 6  # of a name that is cut
DARK = "#16181b"  # names on the light colours, in every theme
COLOURS = ("#9ecae9", "#ffbf79", "#88d27a", "#d6a5c9", "#f2cf5b", "#83bcb6", "#ff9d98", "#bab0ac", "#d8b5a5", "#b6c5f2")


def rings(trace: Mapping[str, Any], size: float) -> str:
    """The sectors of a sunburst with `branchvalues="remainder"`, in a square."""
    children: dict[str, list[str]] = defaultdict(list)
    for name, parent in zip(trace["ids"], trace["parents"], strict=True):
        children[parent].append(name)
    own = dict(zip(trace["ids"], trace["values"], strict=True))
    labels = dict(zip(trace["ids"], trace["labels"], strict=True))
    totals: dict[str, float] = {}
    _total("", children, own, totals)
    width = (size / 2 - 2) / (_depth("", children) + HOLE)
    shapes, names = [], []
    for name, level, begin, end, colour in _sectors(children, totals):
        inner = (level + HOLE) * width
        shapes.append(sector(size / 2, inner, inner + width, begin, end, colour))
        names.append(_name(labels[name], size / 2, inner + width / 2, (begin + end) / 2, (end - begin, width)))
    return "".join(shapes + names)


def _total(name: str, children: Mapping[str, list[str]], own: Mapping[str, float], totals: dict[str, float]) -> float:
    """The value of a sector with all below it; notes those of all below."""
    totals[name] = own.get(name, 0) + sum(_total(child, children, own, totals) for child in children.get(name, ()))
    return totals[name]


def _depth(name: str, children: Mapping[str, list[str]]) -> int:
    return max((1 + _depth(child, children) for child in children.get(name, ())), default=0)


def _sectors(
    children: Mapping[str, list[str]], totals: Mapping[str, float]
) -> Iterator[tuple[str, int, float, float, str]]:
    """Every sector that has a value: its id, ring, angles and colour, which is that of the first ring."""
    ahead = [("", 0, 0.0, 2 * math.pi, "")]
    while ahead:
        name, level, begin, end, colour = ahead.pop()
        radians = (end - begin) / (totals[name] or 1)
        for number, child in enumerate(sorted(children.get(name, ()), key=lambda child: -totals[child])):
            until = begin + radians * totals[child]
            if until > begin:
                shade = colour or COLOURS[number % len(COLOURS)]
                yield child, level, begin, until, shade
                ahead.append((child, level + 1, begin, until, shade))
            begin = until


def _name(words: str, centre: float, radius: float, angle: float, room: tuple[float, float]) -> str:
    """A name in the middle of its sector, never upside down; none where there is no room (radians, pixels) for it."""
    x, y = centre + radius * math.sin(angle), centre - radius * math.cos(angle)
    arc, width = room[0] * radius, room[1] - 6
    turned = math.degrees(angle)
    if arc >= width_of(words) and width >= LEAST_ARC_PX:  # along the ring
        return text(x, y, words, "middle", turned + 180 if 90 < turned < 270 else turned, DARK, "10")
    shown = cut(words, width)
    if arc < LEAST_ARC_PX or len(shown) < min(len(words), LEAST_LETTERS):
        return ""
    return text(x, y, shown, "middle", turned + 90 if turned > 180 else turned - 90, DARK, "10")
