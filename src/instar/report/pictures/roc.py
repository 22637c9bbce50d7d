from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from instar.report.axis import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, Axis, frame, points
from instar.report.numbers import number
from instar.report.svg import drawing, legend, path, tag, tone


def roc(picture: Mapping[str, Any]) -> Markup:
    """Draw true against false positive rate, one curve a model, and chance as the diagonal."""
    x, y = Axis(0.0, 1.0, LEFT, RIGHT), Axis(0.0, 1.0, BOTTOM, TOP)
    marks = frame(x, y, "false positive rate", "true positive rate")
    marks.append(tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="chance"))
    names = []
    for index, curve in enumerate(picture["curves"]):
        look = tone(curve["name"], index, len(picture["curves"]))
        course = [(x(a), y(b)) for a, b in points(curve["fpr"], curve["tpr"])]
        marks.append(path(course, f"line t{look}"))
        names.append((look, f"{curve['name']}, AUC {number(curve['auc'])}"))
    title = "ROC curves: " + "; ".join(name for _, name in names)
    return drawing(title, HEIGHT, marks) + legend(names)
