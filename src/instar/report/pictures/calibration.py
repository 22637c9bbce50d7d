from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from instar.report.axis import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, Axis, frame, points
from instar.report.numbers import number
from instar.report.svg import drawing, legend, path, tag, tone


def calibration(picture: Mapping[str, Any]) -> Markup:
    """Draw how often it came true against how likely it was said to be; dots grow with rows."""
    x, y = Axis(0.0, 1.0, LEFT, RIGHT), Axis(0.0, 1.0, BOTTOM, TOP)
    marks = frame(x, y, "predicted probability", "observed share")
    marks.append(tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="chance"))
    names = []
    for index, curve in enumerate(picture["curves"]):
        look = tone(curve["name"], index, len(picture["curves"]))
        names.append((look, str(curve["name"])))
        course = points(curve["predicted"], curve["observed"])
        marks.append(path([(x(a), y(b)) for a, b in course], f"line t{look}"))
        most = max([1, *curve["n"]])
        for (a, b), n in zip(course, curve["n"], strict=False):
            said = tag("title", f"{number(n)} rows: said {number(a)}, came true {number(b)}")
            radius = 2.0 + 3.0 * (max(n, 0) / most) ** 0.5
            marks.append(tag("circle", said, cx=x(a), cy=y(b), r=radius, class_=f"dot t{look}"))
    title = "Calibration of " + " and ".join(name for _, name in names)
    return drawing(title, HEIGHT, marks) + legend(names)
