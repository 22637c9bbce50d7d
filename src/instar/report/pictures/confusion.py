from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from instar.report.numbers import number, percent
from instar.report.svg import tag


def confusion(picture: Mapping[str, Any]) -> Markup:
    """Lay out counts of true (rows) against predicted (columns) classes, shaded by row share."""
    classes = [str(name) for name in picture["classes"]]
    tables = [_matrix(matrix, classes) for matrix in picture["matrices"]]
    return tag("div", *tables, class_="matrices")


def _matrix(matrix: Mapping[str, Any], classes: Sequence[str]) -> Markup:
    corner = tag("th", "true \\ said", scope="col", class_="corner")
    head = tag("tr", corner, *(tag("th", name, scope="col") for name in classes))
    rows = [
        tag("tr", tag("th", name, scope="row"), *_cells(counts))
        for name, counts in zip(classes, matrix["counts"], strict=True)
    ]
    caption = tag("caption", str(matrix["name"]))
    table = tag("table", caption, tag("thead", head), tag("tbody", *rows), class_="confusion")
    return tag("div", table, class_="scroll", tabindex="0", role="group", aria_label=matrix["name"])


def _cells(counts: Sequence[int]) -> list[Markup]:
    total = sum(counts) or 1
    return [
        tag(
            "td",
            number(count),
            title=f"{percent(count / total)} of this row",
            style=f"--share:{count / total:.3f}",
        )
        for count in counts
    ]
