from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from instar.report.axis import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    below,
    finite,
    names,
    rungs,
)
from instar.report.numbers import number, percent
from instar.report.svg import drawing, legend, tag


def histograms(picture: Mapping[str, Any]) -> Markup:
    """Draw the shares of two groups of rows per bin side by side.

    The groups are old and fresh rows, unless `names` says otherwise.
    """
    before, after = picture.get("names", ("old", "fresh"))
    old, fresh = finite(picture["old"]), finite(picture["fresh"])
    bins = [_name(value) for value in picture["bins"]][: len(fresh)]
    x = Axis(0.0, float(len(bins)), LEFT, RIGHT)
    y = Axis(0.0, 105.0 * max(*old, *fresh, 0.001), BOTTOM, TOP)
    marks = [*rungs(x, y), *names(x, y, str(picture["name"]), "share of rows, %")]
    for index, name in enumerate(bins):
        marks.append(_bar(x, y, index + 0.08, old[index], f"{before} rows, {name}", 0))
        marks.append(_bar(x, y, index + 0.5, fresh[index], f"{after} rows, {name}", 1))
    marks += below(x, y, [(index + 0.5, name) for index, name in enumerate(bins)])
    title = f"{before.capitalize()} and {after} rows by {picture['name']}"
    return drawing(title, HEIGHT, marks) + legend([(0, before), (1, after)])


def _name(value: str | float) -> str:
    words = value if isinstance(value, str) else number(value)
    return words if len(words) <= 12 else words[:11] + "…"


def _bar(x: Axis, y: Axis, left: float, share: float, name: str, look: int) -> Markup:
    top = y(100.0 * share)
    said = tag("title", f"{name}: {percent(share)}")
    at = {"x": x(left), "y": top, "width": x(left + 0.42) - x(left), "height": y.start - top}
    return tag("rect", said, class_=f"bar t{look}", **at)
