"""Pictures of a training: its history, and how far each layer moved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from instar.core.records import Epoch, LayerChange

COURSES = (
    ("Loss", {"loss": "training", "valid_loss": "validation"}),
    ("Validation", {"metric": "metric"}),
    ("Gradients", {"gradient_norm": "gradient norm"}),
)
"""What is drawn of a history: a title, and the fields of an epoch with their names."""


def course(history: Sequence[Epoch], names: dict[str, str]) -> dict[str, Any]:
    """Make a `lines` picture of some fields over the epochs."""
    series = [
        {"name": name, "y": [getattr(epoch, field) for epoch in history]}
        for field, name in names.items()
    ]
    return {
        "kind": "lines",
        "x": [epoch.epoch for epoch in history],
        "series": series,
        "x_label": "epoch",
        "y_label": "",
    }


def moved(changes: Sequence[LayerChange]) -> dict[str, Any]:
    """Make a `bars` picture of each tensor's relative change."""
    items = [{"label": change.name, "value": change.relative} for change in named(changes)]
    return {"kind": "bars", "items": items, "limit": None, "unit": "fraction"}


def named(changes: Sequence[LayerChange]) -> list[LayerChange]:
    """Order tensors by name, as people count: layer 2 before layer 10."""
    return sorted(changes, key=lambda change: _counted(change.name))


def _counted(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
