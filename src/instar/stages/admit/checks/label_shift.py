"""Measure how far the shares of the labels have moved."""

from __future__ import annotations

import numpy as np
import polars as pl

from instar.core.data import TaskKind
from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import histograms
from instar.stages.admit.words import share
from instar.stats.psi import edges, histogram

FIFTHS = 5  # a regression's target is looked at in fifths of its old values


def label_shift(evidence: Evidence) -> list[Finding]:
    """Hold the largest change of a class share against the limit."""
    target = evidence.task.target
    sides = (evidence.train[target].drop_nulls(), evidence.labelled[target])
    if evidence.task.kind is TaskKind.REGRESSION:
        inner = edges(sides[0].to_numpy(), FIFTHS)
        labels = [f"< {inner[0]:.4g}", *(f"from {cut:.4g}" for cut in inner)]
        old, fresh = (histogram(side.to_numpy(), inner) for side in sides)
    else:
        labels = sorted({*evidence.task.classes, *sides[1].unique()})
        old, fresh = (_counts(side, labels) for side in sides)
    before, now = old / max(1, old.sum()), fresh / max(1, fresh.sum())
    most = int(np.abs(now - before).argmax())
    value, limit = float(abs(now - before)[most]), evidence.policy.label_shift
    good = value <= limit
    return [
        Finding(
            "label_shift",
            Verdict.PASS if good else Verdict.FAIL,
            f"{labels[most]!r} was {share(before[most])} of the labels and is {share(now[most])}: "
            f"{100 * value:.3g} points, limit {100 * limit:.3g}",
            measured=value,
            unit="share",
            limit=limit,
            n=int(fresh.sum()),
            passes_if="" if good else f"class shares within {100 * limit:.3g} points of the old",
            enforced=evidence.policy.drift_enforced,
            picture=histograms(target, labels, old, fresh),
        )
    ]


def _counts(values: pl.Series, labels: list[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    found = dict(values.value_counts().iter_rows())
    return np.array([found.get(label, 0) for label in labels], np.int64)
