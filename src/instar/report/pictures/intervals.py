from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from instar.report.axis import Axis, finite
from instar.report.numbers import amount, between, brief
from instar.report.pictures.bars import FROM, ROW, TO, limit_line
from instar.report.svg import drawing, label, tag, text


def intervals(picture: Mapping[str, Any]) -> Markup:
    """Draw each value with its interval; a full line marks zero, a dashed one the limit."""
    rows, limit, unit = picture["rows"], picture.get("limit"), str(picture.get("unit", ""))
    if not rows:
        return tag("p", "Nothing to show.", class_="note")
    ends = [row[key] for row in rows for key in ("value", "low", "high")]
    values = finite([*ends, picture.get("zero"), limit])
    low, high = min(values), max(values)
    air = (high - low) * 0.05 or 1.0
    x = Axis(low - air, high + air, FROM, TO)
    top = 18.0 if limit is not None else 2.0
    height = top + len(rows) * ROW + 4
    marks = _zero(picture.get("zero"), x, top, height)
    marks += limit_line(x, limit, unit, height) if limit is not None else []
    for index, row in enumerate(rows):
        marks += _row(row, x, top + index * ROW, unit)
    said = "; ".join(f"{row['label']} {amount(row['value'], unit)}" for row in rows[:12])
    return drawing(f"Values with their intervals: {said}", height, marks)


def _zero(zero: float | None, x: Axis, top: float, height: float) -> list[Markup]:
    if zero is None:
        return []
    return [tag("line", x1=x(zero), x2=x(zero), y1=top, y2=height - 2, class_="axis")]


def _row(row: Mapping[str, Any], x: Axis, top: float, unit: str) -> list[Markup]:
    value, low, high = row["value"], row["low"], row["high"]
    middle = top + 9.5
    marks = [label(str(row["label"]), FROM - 6, top + 13, letters=17)]
    if finite([low, high]) == [low, high]:
        said = tag("title", between(low, high, unit))
        span = {"x1": x(low), "x2": x(high), "y1": middle, "y2": middle}
        marks.append(tag("line", said, class_="span", **span))
    if finite([value]):
        marks.append(tag("circle", cx=x(value), cy=middle, r=3.5, class_="dot t1"))
    return [*marks, text(brief(value, unit), TO + 6, top + 13)]
