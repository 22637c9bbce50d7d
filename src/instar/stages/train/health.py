"""Judge the course of a training: whether it converged, overfitted, exploded or diverged."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from instar.core.finding import Finding, Verdict
from instar.stages.train.loop import Run

_POINTS = 100  # of a curve, at most
EXPLODING = 100.0  # largest gradient norm, in medians
VANISHING = 1e-6  # median gradient norm
OVERFIT = 0.25  # validation loss over training loss, less 1
DIVERGED = 1.5  # last training loss, in smallest ones


def findings(run: Run, train_loss: float) -> tuple[Finding, ...]:
    """Judge a run; only a broken one, or one that never improved, refuses the candidate.

    Args:
        train_loss: Loss of the best epoch's weights on training rows, in evaluation mode.
    """
    damaged = (_checkpoint(run),) if run.damaged else ()
    if not run.history:
        return (_untrained(), *damaged)
    if run.broken:
        return (_nan(run), _gradients(run), *damaged)
    course = (_convergence(run), _overfit(run, train_loss), _divergence(run), _gradients(run))
    return (*course, *damaged)


def _untrained() -> Finding:
    return Finding("untrained", Verdict.PASS, "no step was made: the weights are the champion's")


def _checkpoint(run: Run) -> Finding:
    return Finding(
        "checkpoint",
        Verdict.FAIL,
        f"damaged by the disk and not used: {', '.join(run.damaged)}; the training went on from "
        "an earlier state, which gives the same weights",
        passes_if="a sound disk",
        enforced=False,
    )


def _nan(run: Run) -> Finding:
    return Finding(
        "nan_loss",
        Verdict.FAIL,
        f"the loss stopped being a number in step {run.broken_at} of epoch {run.epoch}, "
        f"on the rows {run.broken_batch}",
        measured=float(run.epoch),
        unit="epoch",
        passes_if="a lower train.lr or train.clip, or rows without extreme values",
        picture=_curves(run),
    )


def _convergence(run: Run) -> Finding:
    better = run.best_epoch > 0
    return Finding(
        "convergence",
        Verdict.PASS if better else Verdict.FAIL,
        f"validation loss {_from(run.first_loss)} to {run.best_loss:.4f}, "
        f"best after epoch {run.best_epoch} of {run.epoch}"
        if better
        else f"no epoch lowered the validation loss below {run.first_loss:.4f}, where it began",
        measured=run.best_loss,
        limit=run.first_loss if math.isfinite(run.first_loss) else None,
        unit="loss",
        passes_if="" if better else "more fresh rows or a lower train.lr; or keep the champion",
        picture=_curves(run),
    )


def _overfit(run: Run, train_loss: float) -> Finding:
    gap = run.best_loss / train_loss - 1 if train_loss > 0 else 0.0
    return _reported(
        "overfit",
        f"validation loss {run.best_loss:.4f} against {train_loss:.4f} on training rows",
        (gap, OVERFIT, "share of the training loss"),
        remedy="more rows, a higher train.weight_decay, or a smaller network",
    )


def _divergence(run: Run) -> Finding:
    losses = [epoch.loss for epoch in run.history]
    return _reported(
        "divergence",
        f"training loss ended at {losses[-1]:.4f}; its lowest was {min(losses):.4f}",
        (losses[-1] / max(1e-12, min(losses)), DIVERGED, "lowest losses"),
        remedy="a lower train.lr (the best epoch's weights were kept)",
    )


def _gradients(run: Run) -> Finding:
    norms = [norm for norm in run.norms if math.isfinite(norm)] or [0.0]
    median, largest = statistics.median(norms), max(norms)
    vanished = median < VANISHING
    ratio = largest / median if median and len(norms) == len(run.norms) else math.inf
    finding = _reported(
        "gradients",
        f"gradient norm {median:.3g} in the median, {largest:.3g} at most",
        (VANISHING / max(median, 1e-30), 1.0, "of the median")
        if vanished
        else (ratio, EXPLODING, "medians"),
        remedy="a higher train.lr, or units that saturate less"
        if vanished
        else "a lower train.lr or train.clip",
    )
    points = _thin(run.norms)
    picture = {
        "kind": "lines",
        "x": [index for index, _ in points],
        "series": [{"name": "gradient norm", "y": [_short(norm) for _, norm in points]}],
        "x_label": "step",
        "y_label": "norm",
    }
    return replace(finding, picture=picture)


def _reported(
    code: str, message: str, measure: tuple[float, float, str], *, remedy: str
) -> Finding:
    """Report a measured value, its limit and its unit; refuse nothing."""
    measured, limit, unit = measure
    good = measured <= limit
    return Finding(
        code,
        Verdict.PASS if good else Verdict.FAIL,
        message,
        measured=measured,
        limit=limit,
        unit=unit,
        passes_if="" if good else remedy,
        enforced=False,
    )


def _curves(run: Run) -> dict[str, Any]:
    history = _thin(run.history)
    return {
        "kind": "lines",
        "x": [epoch.epoch for _, epoch in history],
        "series": [
            {"name": "training", "y": [_short(epoch.loss) for _, epoch in history]},
            {"name": "validation", "y": [_short(epoch.valid_loss) for _, epoch in history]},
        ],
        "x_label": "epoch",
        "y_label": "loss",
    }


def _thin(values: Sequence[Any]) -> list[tuple[int, Any]]:
    every = max(1, math.ceil(len(values) / _POINTS))
    return list(enumerate(values))[::every]


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _from(loss: float) -> str:
    return f"from {loss:.4f}" if math.isfinite(loss) else "down"
