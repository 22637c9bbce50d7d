from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from instar.report.axis import Axis, finite
from instar.report.numbers import amount, brief
from instar.report.svg import WIDTH, drawing, label, tag, text

ROW, FROM, TO = 20.0, 122.0, WIDTH - 66.0
"""Height of a row; where bars begin and end at most, in pixels."""


def bars(picture: Mapping[str, Any]) -> Markup:
    """Draw one bar an item, with its value; a dashed line marks the limit."""
    items, limit, unit = picture["items"], picture.get("limit"), str(picture.get("unit", ""))
    if not items:
        return tag("p", "Nothing to show.", class_="note")
    values = finite([0.0, limit, *(item["value"] for item in items)])
    x = Axis(min(values), max(values) or 1.0, FROM, TO)
    top = 18.0 if limit is not None else 2.0
    height = top + len(items) * ROW + 4
    marks = limit_line(x, limit, unit, height) if limit is not None else []
    for index, item in enumerate(items):
        marks += _row(item, x, top + index * ROW, limit, unit)
    said = (
        f"{len(items)} bars" if limit is None else f"{len(items)} bars, limit {amount(limit, unit)}"
    )
    return drawing(said, height, marks)


def limit_line(x: Axis, limit: float, unit: str, height: float) -> list[Markup]:
    """Mark the limit by a dashed line with its value on top."""
    anchor = "middle" if x(limit) < WIDTH - 60 else "end"
    return [
        tag("line", x1=x(limit), x2=x(limit), y1=14.0, y2=height - 2, class_="limit"),
        text(f"limit {amount(limit, unit)}", x(limit), 11, class_="limit", anchor=anchor),
    ]


def _row(
    item: Mapping[str, Any], x: Axis, top: float, limit: float | None, unit: str
) -> list[Markup]:
    value = item["value"]
    marks = [label(str(item["label"]), FROM - 6, top + 13, letters=17)]
    if not finite([value]):
        return [*marks, text("–", FROM + 4, top + 13)]
    over = limit is not None and value > limit
    left, right = sorted((x(0.0), x(value)))
    look = "bar over" if over else "bar t1"
    marks.append(
        tag("rect", x=left, y=top + 3, width=max(1.0, right - left), height=13, class_=look)
    )
    marks.append(text(brief(value, unit), right + 5, top + 13))
    return marks
