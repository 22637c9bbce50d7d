"""The drawings that a finding can ask for, by the `kind` of its picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from instar.core.errors import UnknownName
from instar.core.family import Family
from instar.report.pictures.bars import bars
from instar.report.pictures.calibration import calibration
from instar.report.pictures.confusion import confusion
from instar.report.pictures.histograms import histograms
from instar.report.pictures.images import images
from instar.report.pictures.intervals import intervals
from instar.report.pictures.lines import lines
from instar.report.pictures.roc import roc
from instar.report.pictures.table import table
from instar.report.svg import tag

PICTURES: Family[Callable[[Mapping[str, Any]], Markup]] = Family(
    "picture",
    {
        "bars": bars,
        "calibration": calibration,
        "confusion": confusion,
        "histograms": histograms,
        "images": images,
        "intervals": intervals,
        "lines": lines,
        "roc": roc,
        "table": table,
    },
)


def draw(picture: Mapping[str, Any]) -> Markup:
    """Draw a finding's picture; nothing for none, and a note for one that cannot be drawn.

    A report must open whatever a check of somebody else put into its picture.
    """
    if not picture:
        return Markup("")
    try:
        return PICTURES[str(picture.get("kind"))](picture)
    except UnknownName:
        return tag("p", f"No drawing for a {picture.get('kind')!r} picture.", class_="note")
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return tag("p", "The numbers of this picture cannot be drawn.", class_="note")
