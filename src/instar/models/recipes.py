"""What each strategy does unless the policy says otherwise: rate, batch, epochs.

Both the plan, which forecasts the cost, and the training, which pays it, ask here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

LR, BATCH, EPOCHS = 1e-3, 64, 12  # of a champion that came without a recipe
_LARGEST = 512  # a larger batch saves little CPU: the fixed cost of a step is paid off by then
_CAP = 0.25  # share of a full retrain's sample passes that an incremental update may use


@dataclass(frozen=True, slots=True)
class Recipe:
    """Peak rate, fresh rows a step (0: all), epochs over the fresh rows, replayed per fresh row."""

    lr: float
    batch: int
    epochs: int
    replay_ratio: float = 0.0

    def passes(self, rows: int) -> int:
        """Count sample passes over `rows` fresh rows, replay included.

        Example:
            >>> Recipe(lr=1e-3, batch=64, epochs=8, replay_ratio=1.0).passes(3072)
            49152
        """
        return round(self.epochs * rows * (1 + self.replay_ratio))

    def steps(self, rows: int) -> int:
        """Count gradient steps over `rows` fresh rows."""
        return self.epochs * math.ceil(rows / (self.batch or rows))


def incremental(
    champion: Mapping[str, float], fresh: int, old: int, replay_ratio: float = 1.0
) -> Recipe:
    """Re-warm the champion's rate to one half, for half its epochs, in large batches.

    The epochs are capped so that the passes stay under a quarter of a retrain's; the rate grows
    with the square root of the batch.

    Args:
        champion: Its recipe (`lr`, `batch`, `epochs`).
        fresh, old: Training rows, fresh and old.
    Source:
        Ibrahim et al. 2024, "Simple and Scalable Strategies to Continually Pre-train Large
        Language Models" (re-warming), and measurements of ours on Elec2.
    Example:
        >>> incremental({"lr": 1e-3, "batch": 64, "epochs": 12}, fresh=3072, old=12096)
        Recipe(lr=0.0012247..., batch=384, epochs=6, replay_ratio=1.0)
    """
    usual = int(champion.get("epochs", EPOCHS))
    affordable = _CAP * usual * (fresh + old) / (max(1, fresh) * (1 + replay_ratio))
    epochs = max(1, min(max(4, math.ceil(usual / 2)), int(affordable)))
    batch = max(8, min(_LARGEST, fresh // 8))
    return Recipe(0.5 * _rate(champion, batch), batch, epochs, replay_ratio)


def full(champion: Mapping[str, float], rows: int) -> Recipe:
    """Train from scratch for as many epochs as the champion, in batches that suit the rows.

    Example:
        >>> full({"lr": 1e-3, "batch": 64, "epochs": 12}, rows=32_768)
        Recipe(lr=0.002, batch=256, epochs=12, replay_ratio=0.0)
    """
    usual = int(champion.get("batch", BATCH))
    batch = max(usual, min(_LARGEST, rows // 128))
    return Recipe(_rate(champion, batch), batch, int(champion.get("epochs", EPOCHS)))


def warm(champion: Mapping[str, float], rows: int, *, image: bool = False) -> Recipe:
    """Go on from the champion through all rows: at its rate, a quarter of its epochs.

    An epoch has forty steps or more, with images 64. On ten divisions of Elec2 forty scored as 64
    do, at 0.8 of the CPU; with thirty, old rows lost 0.2 points more. Digits of another scanner
    lost a point with forty.

    Example:
        >>> warm({"lr": 1e-3, "batch": 64, "epochs": 12}, rows=10_240)
        Recipe(lr=0.002, batch=256, epochs=3, replay_ratio=0.0)
    """
    usual = int(champion.get("batch", BATCH))
    batch = max(usual, min(_LARGEST, rows // (64 if image else 40)))
    epochs = max(3, math.ceil(champion.get("epochs", EPOCHS) / 4))
    return Recipe(_rate(champion, batch), batch, epochs)


def glimpse(champion: Mapping[str, float], rows: int) -> Recipe:
    """Go through rows four times at the champion's rate, in at most eight steps each while few.

    Example:
        >>> glimpse({"lr": 1e-3, "batch": 64, "epochs": 12}, rows=512)
        Recipe(lr=0.001, batch=64, epochs=4, replay_ratio=0.0)
    """
    batch = max(8, min(_LARGEST // 2, rows // 8))
    return Recipe(_rate(champion, batch), batch, 4)


def _rate(champion: Mapping[str, float], batch: int) -> float:
    """Scale the champion's peak rate to another batch: noise falls with the root of its size."""
    return champion.get("lr", LR) * math.sqrt(batch / champion.get("batch", BATCH))
