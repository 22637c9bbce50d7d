"""The pictures that findings carry: plain numbers, drawn by the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def rounded(value: float) -> float:
    """Keep four significant digits.

    Example:
        >>> rounded(0.123456)
        0.1235
    """
    return float(f"{value:.4g}")


def bars(values: Mapping[str, float], limit: float | None = None, unit: str = "") -> dict[str, Any]:
    """Draw one bar a label, the longest first, at most 40."""
    items = sorted(values.items(), key=lambda item: -item[1])[:40]
    return {
        "kind": "bars",
        "items": [{"label": label, "value": rounded(value)} for label, value in items],
        "limit": limit,
        "unit": unit,
    }


def histograms(
    name: str, bins: Sequence[str | float], old: ArrayLike, fresh: ArrayLike
) -> dict[str, Any]:
    """Draw two histograms, given as counts, side by side as shares."""
    parts = {"old": np.asarray(old, np.float64), "fresh": np.asarray(fresh, np.float64)}
    shares = {
        side: [rounded(part) for part in counts / max(1.0, counts.sum())]
        for side, counts in parts.items()
    }
    return {"kind": "histograms", "name": name, "bins": list(bins), **shares}


def spread(name: str, old: ArrayLike, fresh: ArrayLike, bins: int = 24) -> dict[str, Any]:
    """Draw two samples of numbers over the range that holds nearly all of both."""
    both = np.concatenate([np.asarray(old, np.float64), np.asarray(fresh, np.float64)])
    low, high = np.quantile(both, [0.002, 0.998])
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    counts = [np.histogram(np.clip(side, low, high), edges)[0] for side in (old, fresh)]
    return histograms(name, [rounded(edge) for edge in edges[:-1]], *counts)
