"""Findings as plain numbers that a report can draw."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from PIL import ImageDraw

from instar.core.data import Preprocessing, Task
from instar.data.images import decode
from instar.stages.validate.evidence import Rows, Scores
from instar.stats.metrics import score
from instar.stats.metrics.auroc import roc_curve
from instar.stats.metrics.calibration import calibration_curve
from instar.tasks import Form, form_of

POINTS = 100  # a curve has, at most
EXAMPLES = 12
CELLS = 100_000  # that a calibration is measured on, at most
COLUMNS = 8  # of the data, shown in a table of examples
PIXELS = 96  # of an image's longer side: findings stand in the ledger
COLOURS = ("#2a9d3a", "#e08a00", "#2060d0")  # of true, earlier and present boxes

Picture = dict[str, Any]
Box = tuple[float, ...]


def rounded(value: float) -> float:
    """Keep four significant digits.

    Example:
        >>> rounded(0.123456)
        0.1235
    """
    return float(f"{value:.4g}")


def roc(rows: Rows) -> Picture:
    """Draw the ROC curves of both versions."""
    return {"kind": "roc", "curves": [_roc(name, s, rows) for name, s in _both(rows)]}


def _roc(name: str, scores: Scores, rows: Rows) -> Picture:
    false, true = roc_curve(scores, rows.labels)
    at = np.unique(np.linspace(0, len(false) - 1, POINTS).astype(int))
    return {
        "name": name,
        "fpr": [rounded(v) for v in false[at]],
        "tpr": [rounded(v) for v in true[at]],
        "auc": rounded(score("auroc", scores, rows.labels)),
    }


def thinned(scores: Scores, labels: Any) -> tuple[Scores, Any]:
    """Take cells at equal distances where there are too many, as of pixels, to bin them all."""
    every = -(-len(labels) // CELLS)
    return scores[::every], labels[::every]


def calibration(rows: Rows, form: Form) -> Picture:
    """Draw the reliability of both versions' probabilities."""
    curves = []
    for name, scores in _both(rows):
        curve = calibration_curve(*thinned(*form.cells(scores, rows.labels)))
        points = {key: [rounded(v) for v in curve[key]] for key in ("predicted", "observed")}
        curves.append({"name": name, **points, "n": curve["n"]})
    return {"kind": "calibration", "curves": curves}


def confusion(rows: Rows, task: Task) -> Picture:
    """Count each class's cells (down) by the class that was answered (across), per version."""
    form = form_of(task)
    matrices = [
        {"name": name, "counts": form.confused(scores, rows.labels, task).tolist()}
        for name, scores in _both(rows)
    ]
    return {"kind": "confusion", "classes": list(form.names(task)), "matrices": matrices}


def intervals(
    rows: Iterable[tuple[str, float, float, float]], limit: float | None, unit: str
) -> Picture:
    """Draw values with their bounds: (label, value, low, high) each."""
    return {
        "kind": "intervals",
        "rows": [
            {"label": label, "value": rounded(v), "low": rounded(low), "high": rounded(high)}
            for label, v, low, high in rows
        ],
        "zero": 0,
        "limit": limit,
        "unit": unit,
    }


def bars(items: Iterable[tuple[str, float]], limit: float | None, unit: str) -> Picture:
    """Draw one bar a value."""
    shown = [{"label": label, "value": rounded(value)} for label, value in items]
    return {"kind": "bars", "items": shown, "limit": limit, "unit": unit}


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Picture:
    """Show a table; floats are rounded."""
    shown = [[rounded(v) if isinstance(v, float) else v for v in row] for row in rows]
    return {"kind": "table", "columns": list(columns), "rows": shown}


def examples(rows: Rows, at: Sequence[int], task: Task, how: Preprocessing) -> Picture:
    """Show the rows at some places with the true, the earlier and the present answer."""
    places = list(at)[:EXAMPLES]
    form = form_of(task)
    answers = (rows.labels, *(form.decide(s, task) for s in (rows.champion, rows.candidate)))
    told = [tuple(form.told(side[i], task) for side in answers) for i in places]
    if how.image:
        pixels = rows.frame[how.image.name]
        boxes = [[form.outlines(side[i]) for side in answers] for i in places]
        items = [
            {
                "png": _png(pixels[i], how.image.name, i, drawn),
                "caption": f"{true}: {old}, now {new}",
            }
            for i, (true, old, new), drawn in zip(places, told, boxes, strict=True)
        ]
        return {"kind": "images", "items": items}
    shown = [name for name in how.columns if name in rows.frame.columns][:COLUMNS]
    values = rows.frame[places].select(shown).rows() if shown else [() for _ in places]
    return table(
        ["true", "before", "now", *shown], [(*t, *v) for t, v in zip(told, values, strict=True)]
    )


def _png(data: bytes, column: str, row: int, boxes: Sequence[Sequence[Box]] = ()) -> str:
    """Write a small picture, with the true, the earlier and the present boxes where there are."""
    file = io.BytesIO()
    image = decode(data, column, row)
    scale = PIXELS / max(image.size)
    if not any(boxes):
        image.thumbnail((PIXELS, PIXELS))
    else:
        width, height = (max(1, round(scale * length)) for length in image.size)
        image = image.convert("RGB").resize((width, height))
        draw = ImageDraw.Draw(image)
        for colour, side in zip(COLOURS, boxes, strict=True):
            for box in side:
                draw.rectangle([scale * corner for corner in box], outline=colour)
    image.save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def _both(rows: Rows) -> tuple[tuple[str, Scores], tuple[str, Scores]]:
    return ("champion", rows.champion), ("candidate", rows.candidate)


def texts(column: pl.Series) -> pl.Series:
    """Write a column's values as people read them; a missing one is its own value."""
    return column.cast(pl.String).fill_null("(missing)")
