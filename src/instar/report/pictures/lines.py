from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from instar.report.axis import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    below,
    frame,
    names,
    points,
    rungs,
    spanning,
)
from instar.report.svg import drawing, legend, path, tag, tone

FEW = 20
"""Up to so many points each is marked by a dot."""


def lines(picture: Mapping[str, Any]) -> Markup:
    """Draw one line a series over x; texts on x stand at equal distances.

    A lone series needs no legend: its name stands beside the y axis if that has none.
    """
    places, worded = _places(picture["x"])
    series = picture["series"]
    x = spanning(places, LEFT, RIGHT, pad=0.0)
    y = spanning([value for one in series for value in one["y"]], BOTTOM, TOP)
    alone = str(series[0]["name"]) if len(series) == 1 else ""
    said = str(picture.get("x_label", "")), str(picture.get("y_label", "") or alone)
    if worded:
        ticks = list(zip(places, worded, strict=True))
        marks = [*rungs(x, y), *names(x, y, *said), *below(x, y, ticks)]
    else:
        marks = frame(x, y, *said)
    shown = []
    for index, one in enumerate(series):
        look = tone(str(one["name"]), index, len(series))
        shown.append((look, str(one["name"])))
        marks += _line([(x(a), y(b)) for a, b in points(places, one["y"])], look)
    title = f"{', '.join(name for _, name in shown)} over {said[0] or 'x'}"
    return drawing(title, HEIGHT, marks) + (legend(shown) if len(shown) > 1 else "")


def _places(values: Sequence[Any]) -> tuple[list[float], list[str]]:
    """Take numbers as they are; give texts whole numbers and keep them as labels."""
    if any(isinstance(value, str) for value in values):
        return [float(i) for i in range(len(values))], [str(value)[:10] for value in values]
    return list(values), []


def _line(course: Sequence[tuple[float, float]], look: int) -> list[Markup]:
    dots = course if len(course) <= FEW else ()
    marks = [tag("circle", cx=x, cy=y, r=2.2, class_=f"dot t{look}") for x, y in dots]
    return [path(course, f"line t{look}"), *marks]
