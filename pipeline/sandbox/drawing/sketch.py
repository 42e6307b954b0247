"""A sketch pad in object coordinates: parts of a thing as antialiased masks, whatever its position and turn."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Mask = np.ndarray  # float32 [side, side], 0 outside, 1 inside

SUPERSAMPLED = 2
ROUND = 48  # corners of what should look round


@dataclass(frozen=True)
class Pose:
    """Where and how an object lies in the picture: unit square [-1, 1]² to pixels."""

    side: int
    scale: float = 0.8  # half the picture's side is 1
    turn: float = 0.0  # radians
    squeeze: float = 1.0  # foreshortening of the width: another view of the same thing
    shift: Point = (0.0, 0.0)

    def place(self, point: Point) -> Point:
        """The pixel, at the supersampled size, of a point of the object."""
        x, y = point[0] * self.squeeze, point[1]
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        half = self.side * SUPERSAMPLED / 2
        right = (x * cos - y * sin) * self.scale + self.shift[0]
        down = (x * sin + y * cos) * self.scale + self.shift[1]
        return half * (1 + right), half * (1 + down)


@dataclass
class Sketch:
    """The parts of one object: `body` and `second` are of a material, `lines` are dark, `decor` is painted on."""

    pose: Pose
    rng: np.random.Generator
    _layers: dict[str, Image.Image] = field(default_factory=dict)

    def part(self, name: str) -> Mask | None:
        """The mask of a part, or None when nothing was drawn in it."""
        layer = self._layers.get(name)
        if layer is None:
            return None
        return np.asarray(layer.reduce(SUPERSAMPLED), dtype=np.float32) / 255

    def about(self, least: float, most: float) -> float:
        """A random measure of this object."""
        return float(self.rng.uniform(least, most))

    def maybe(self, probability: float) -> bool:
        """Whether this object has a feature."""
        return bool(self.rng.random() < probability)

    def polygon(self, points: Iterable[Point], part: str = "body", fill: int = 255) -> None:
        """A filled polygon; fill 0 cuts a hole."""
        self._draw(part).polygon([self.pose.place(point) for point in points], fill=fill)

    def line(self, points: Sequence[Point], width: float, part: str = "body", fill: int = 255) -> None:
        """A stroke with round joints; the width is in object units."""
        pixels = max(1.0, width * self.pose.scale * self.pose.side * SUPERSAMPLED / 2)
        draw, placed = self._draw(part), [self.pose.place(point) for point in points]
        draw.line(placed, fill=fill, width=round(pixels), joint="curve")
        for x, y in (placed[0], placed[-1]):
            draw.ellipse((x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2), fill=fill)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, part: str = "body", fill: int = 255, turn: float = 0.0
    ) -> None:
        """A filled ellipse."""
        self.polygon(around(x, y, rx, ry, turn), part, fill)

    def ring(self, x: float, y: float, rx: float, ry: float, width: float, part: str = "body") -> None:
        """An ellipse as a closed stroke."""
        self.line([*around(x, y, rx, ry), around(x, y, rx, ry)[0]], width, part)

    def box(self, left: float, top: float, right: float, bottom: float, part: str = "body", fill: int = 255) -> None:
        """A filled rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], part, fill)

    def turned(self, profile: Sequence[Point], part: str = "body") -> None:
        """A thing from the lathe or the wheel: (height, radius) from top to bottom, smoothed, both sides alike."""
        smooth = smoothed(profile)
        right = [(radius, height) for height, radius in smooth]
        self.polygon([*right, *((-x, y) for x, y in reversed(right))], part)

    def rings(self, profile: Sequence[Point], heights: Sequence[float], width: float = 0.02) -> None:
        """Grooves around a turned thing."""
        smooth = np.array(smoothed(profile))
        for height in heights:
            radius = float(np.interp(height, smooth[:, 0], smooth[:, 1])) * 0.97
            curve = [(radius * math.cos(a), height + radius * 0.14 * math.sin(a)) for a in np.linspace(0, math.pi, 16)]
            self.line(curve, width, "lines")

    def _draw(self, part: str) -> ImageDraw.ImageDraw:
        if part not in self._layers:
            size = self.pose.side * SUPERSAMPLED
            self._layers[part] = Image.new("L", (size, size))
        return ImageDraw.Draw(self._layers[part])


Shape = Callable[[Sketch], None]


def around(x: float, y: float, rx: float, ry: float, turn: float = 0.0, corners: int = ROUND) -> list[Point]:
    """Points on an ellipse."""
    cos, sin = math.cos(turn), math.sin(turn)
    angles = [2 * math.pi * corner / corners for corner in range(corners)]
    return [
        (x + rx * math.cos(a) * cos - ry * math.sin(a) * sin, y + rx * math.cos(a) * sin + ry * math.sin(a) * cos)
        for a in angles
    ]


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, corners: int = 24) -> list[Point]:
    """Points on a part of an ellipse; angles in degrees, 0 to the right, 90 down."""
    angles = np.radians(np.linspace(start, end, corners))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def smoothed(profile: Sequence[Point], steps: int = 6) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    points = [np.array(profile[0]), *map(np.array, profile), np.array(profile[-1])]
    curve = []
    for before, start, end, after in zip(points, points[1:], points[2:], points[3:], strict=False):
        for t in np.linspace(0, 1, steps, endpoint=False):
            place = (
                2 * start
                + (end - before) * t
                + (2 * before - 5 * start + 4 * end - after) * t**2
                + (3 * start - before - 3 * end + after) * t**3
            ) / 2
            curve.append((float(place[0]), max(0.0, float(place[1]))))
    curve.append((float(profile[-1][0]), float(profile[-1][1])))
    return curve
