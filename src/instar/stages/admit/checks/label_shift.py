"""Measure how far the shares of the labels have moved."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from instar.core.finding import Finding, Verdict
from instar.data.schema.tasks import Marks
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import histograms
from instar.stages.admit.words import share
from instar.stats.psi import edges, histogram

Shares: TypeAlias = NDArray[np.float64]
FIFTHS = 5  # a regression's target is looked at in fifths of its old values


def label_shift(evidence: Evidence) -> list[Finding]:
    """Hold the largest change of a class share against the limit."""
    target = evidence.task.shown
    labels, before, now = _fifths(evidence) if evidence.marks is None else _marked(*evidence.marks)
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
            n=evidence.labelled.height,
            passes_if="" if good else f"class shares within {100 * limit:.3g} points of the old",
            enforced=evidence.policy.drift_enforced,
            picture=histograms(target, labels, before, now),
        )
    ]


def _fifths(evidence: Evidence) -> tuple[list[str], Shares, Shares]:
    """Share numbers out to fifths of the old ones."""
    target = evidence.task.target
    sides = (evidence.train[target].drop_nulls(), evidence.labelled[target])
    inner = edges(sides[0].to_numpy(), FIFTHS)
    old, fresh = (histogram(side.to_numpy(), inner) for side in sides)
    names = [f"< {inner[0]:.4g}", *(f"from {cut:.4g}" for cut in inner)]
    return names, old / max(1, old.sum()), fresh / max(1, fresh.sum())


def _marked(old: Marks, fresh: Marks) -> tuple[list[str], Shares, Shares]:
    """Share labels out to their marks; one that old rows never had was no share of them."""
    known = dict(zip(old.names, old.shares.tolist(), strict=True))
    return list(fresh.names), np.array([known.get(name, 0.0) for name in fresh.names]), fresh.shares
