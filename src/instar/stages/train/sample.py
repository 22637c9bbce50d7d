"""The replay sample: a uniform draw of all rows a model has learnt from, kept with it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import polars as pl

from instar.core.data import Schema, Snapshot
from instar.core.policy import TrainPolicy
from instar.core.records import ModelVersion
from instar.core.tools import Artifacts
from instar.data import snapshot
from instar.data.split import sample
from instar.models.predict import Floats
from instar.stages.train.reading import Reading


def kept(champion: ModelVersion, reading: Reading, rows: int) -> pl.DataFrame:
    """Read the champion's replay sample; draw one from its training rows if it has none."""
    if champion.replay is not None:
        return reading.table(champion.replay)
    return snapshot.draw(champion.train, reading.artifacts, reading.most(rows), reading.seed)


def size(rows: int, policy: TrainPolicy) -> int:
    """Say how many rows a sample of `rows` keeps.

    Example:
        >>> size(10_000, TrainPolicy()), size(1_000, TrainPolicy()), size(90, TrainPolicy())
        (500, 200, 90)
    """
    return min(rows, max(policy.replay_min, round(policy.replay * rows)))


def refresh(
    old: pl.DataFrame,
    old_rows: int,
    fresh_rows: int,
    fresh: Callable[[int, int], pl.DataFrame],
    wanted: int,
    seed: int,
) -> pl.DataFrame:
    """Draw a uniform sample of old and fresh rows together, knowing only a sample of the old.

    How many come from each side is drawn as an urn would; then rows are drawn from the side.

    Args:
        old: A uniform sample of `old_rows` rows.
        fresh: Draws so many of the fresh rows with a seed.
        wanted: Rows of the new sample; fewer where the old sample is too small for its part.
    Source:
        Vitter 1985, "Random Sampling with a Reservoir"; merged as one batch.
    """
    random = np.random.default_rng(seed)
    part = int(random.hypergeometric(old_rows, fresh_rows, wanted)) if old_rows else 0
    sides = [sample(old, part, seed), fresh(wanted - part, seed + 1)]
    return pl.concat(sides, how="diagonal_relaxed")


def keep(
    frame: pl.DataFrame, logits: Floats, schema: Schema, time: str | None, artifacts: Artifacts
) -> tuple[Snapshot, str]:
    """Store a sample and the model's own logits on it, row by row."""
    buffer = io.BytesIO()
    np.save(buffer, logits, allow_pickle=False)
    taken = snapshot.take(frame, schema, artifacts, "replay", time)
    return taken, artifacts.put(buffer.getvalue())


def stored_logits(champion: ModelVersion, artifacts: Artifacts, rows: int) -> Floats | None:
    """Read the champion's logits on its replay sample, float32 (rows, outputs), if they fit."""
    if champion.replay is None or champion.replay_logits is None:
        return None
    logits = np.load(io.BytesIO(artifacts.read(champion.replay_logits)), allow_pickle=False)
    wanted = (rows, *champion.preprocessing.spec(champion.task).answer)
    fits = logits.shape == wanted and np.isfinite(logits).all()
    return logits.astype(np.float32) if fits else None
