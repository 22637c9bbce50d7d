from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from instar.report.numbers import NOTHING, number
from instar.report.svg import tag


def table(picture: Mapping[str, Any]) -> Markup:
    """Lay out rows under their columns; numbers stand to the right."""
    head = tag("tr", *(tag("th", str(name), scope="col") for name in picture["columns"]))
    rows = [tag("tr", *(_cell(value) for value in row)) for row in picture["rows"]]
    drawn = tag("table", tag("thead", head), tag("tbody", *rows))
    return tag("div", drawn, class_="scroll", tabindex="0", role="group", aria_label="Table")


def _cell(value: Any) -> Markup:
    match value:
        case bool():
            return tag("td", "yes" if value else "no")
        case int() | float():
            return tag("td", number(value), class_="n")
        case None:
            return tag("td", NOTHING)
        case _:
            return tag("td", str(value))
