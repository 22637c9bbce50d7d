"""How good answers were whose true labels have come, summed up by version for Prometheus.

The gates of a release judge labelled answers one by one, and at equal times; these sums are for a
graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from instar.serving.exposition import family
from instar.tasks.form import Truth


@dataclass(slots=True)
class Judged:
    """What one version's labelled answers came to; each is counted once, with its first label.

    Example:
        >>> seen = Judged()
        >>> seen.add([0.25, 0.75], 1.0)
        >>> seen.add([0.5, 0.5, 0.0], 2.0)
        >>> seen
        Judged(labelled=2, right=1, squared=0.8125)
    """

    labelled: int = 0
    right: int = 0
    squared: float = 0.0

    def add(self, scores: Sequence[float], label: Truth) -> None:
        """Judge one answer: of classes, of several labels, or a number."""
        right, squared = _judge(scores, label)
        if math.isfinite(squared):
            self.labelled += 1
            self.right += right
            self.squared += squared


def _judge(scores: Sequence[float], label: Truth) -> tuple[bool, float]:
    if isinstance(label, list):
        pairs = [(s, t) for s, t in zip(scores, label, strict=True) if t is not None]
        if not pairs:
            return False, math.nan
        return False, sum((s - t) ** 2 for s, t in pairs) / len(pairs)
    if len(scores) == 1:
        return False, (scores[0] - label) ** 2
    squared = sum((s - (place == label)) ** 2 for place, s in enumerate(scores)) / 2
    return max(range(len(scores)), key=scores.__getitem__) == label, squared


def exposed(model: str, judged: Mapping[str, Judged]) -> Iterator[str]:
    """Write the sums as Prometheus text."""
    named = [({"model": model, "version": version}, sums) for version, sums in judged.items()]
    yield from family("instar_labelled_total", "counter", ((n, s.labelled) for n, s in named))
    yield from family("instar_right_total", "counter", ((n, s.right) for n, s in named))
    yield from family("instar_squared_error_total", "counter", ((n, s.squared) for n, s in named))
