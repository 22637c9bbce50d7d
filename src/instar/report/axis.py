"""Axes: from data to pixels, with round ticks, and the frame that curves are drawn in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from instar.report.numbers import number
from instar.report.svg import WIDTH, tag, text

LEFT, RIGHT, TOP, BOTTOM = 58.0, WIDTH - 10.0, 10.0, 200.0
HEIGHT = 240
LETTER = 6.8
"""The place of a plot in its drawing, and the width of a letter, in pixels."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Map data between `low` and `high` to pixels between `start` and `end`.

    Example:
        >>> axis = Axis(0.0, 10.0, 100.0, 200.0)
        >>> axis(5.0), axis.ticks()
        (150.0, [(0.0, '0'), (2.0, '2'), (4.0, '4'), (6.0, '6'), (8.0, '8'), (10.0, '10')])
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Choose at most `most` round values on the axis, and write all to the same place."""
        raw = (self.high - self.low) / (most - 1)
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * nice for nice in (1, 2, 5, 10) if unit * nice >= raw * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        return [_tick(i * step, places) for i in range(first, last + 1)]


def _tick(value: float, places: int) -> tuple[float, str]:
    if places > 4:
        return value, number(value)
    if abs(value) >= 10_000:
        power = 2 if abs(value) >= 1e6 else 1
        return value, number(value / 1000.0**power) + " kM"[power]
    return round(value, 12), f"{round(value, places) + 0.0:,.{places}f}".replace("-", "−")


def finite(values: Iterable[float | None]) -> list[float]:
    """Keep the numbers that can be drawn."""
    return [float(v) for v in values if v is not None and math.isfinite(v)]


def spanning(values: Iterable[float | None], start: float, end: float, pad: float = 0.05) -> Axis:
    """Fit an axis to the numbers, with some air at both ends.

    Raises:
        ValueError: there is no number to fit to.
    """
    seen = finite(values)
    low, high = min(seen), max(seen)
    air = (high - low) * pad if high > low else abs(high) * 0.1 or 1.0
    return Axis(low - air, high + air, start, end)


def points(xs: Iterable[float | None], ys: Iterable[float | None]) -> list[tuple[float, float]]:
    """Pair coordinates, leaving out the points that miss one."""
    pairs = zip(xs, ys, strict=True)
    return [
        (x, y) for x, y in pairs if x is not None and y is not None and finite((x, y)) == [x, y]
    ]


def frame(x: Axis, y: Axis, x_label: str, y_label: str) -> list[Markup]:
    """Draw grid lines, tick labels and the names of both axes."""
    return [*rungs(x, y), *names(x, y, x_label, y_label), *below(x, y, x.ticks())]


def rungs(x: Axis, y: Axis) -> list[Markup]:
    """Draw the horizontal grid lines with their values, and the base line."""
    marks = []
    for value, words in y.ticks(5):
        marks.append(tag("line", x1=x.start, x2=x.end, y1=y(value), y2=y(value), class_="grid"))
        marks.append(text(words, x.start - 5, y(value) + 4, anchor="end"))
    marks.append(tag("line", x1=x.start, x2=x.end, y1=y.start, y2=y.start, class_="axis"))
    return marks


def names(x: Axis, y: Axis, x_label: str, y_label: str) -> list[Markup]:
    """Name both axes."""
    across, up = (x.start + x.end) / 2, (y.start + y.end) / 2
    turned = f"rotate(-90 10 {up:.1f})"
    return [
        text(x_label, across, y.start + 32, class_="name", anchor="middle"),
        tag("text", y_label, x=10.0, y=up, transform=turned, text_anchor="middle", class_="name"),
    ]


def below(x: Axis, y: Axis, ticks: Sequence[tuple[float, str]]) -> list[Markup]:
    """Write labels under the base line, as many as fit beside each other."""
    widest = max((len(words) for _, words in ticks), default=0) * LETTER + 10
    gaps = [x(b) - x(a) for (a, _), (b, _) in pairwise(ticks)]
    every = max(1, math.ceil(widest / min(gaps))) if gaps else 1
    return [text(words, x(at), y.start + 15, anchor="middle") for at, words in ticks[::every]]
