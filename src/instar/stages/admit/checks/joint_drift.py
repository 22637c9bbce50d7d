"""Try to tell old and fresh rows apart by all columns together."""

from __future__ import annotations

import polars as pl

from instar.core.finding import Finding, Interval, Verdict
from instar.data.split import sample
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.looks import fields
from instar.stages.admit.matrix import coded_columns, matrix
from instar.stages.admit.pictures import bars
from instar.stages.admit.words import names
from instar.stats.domain_classifier import tell_apart

ROWS = 3_000  # of each side


def joint_drift(evidence: Evidence) -> list[Finding]:
    """Train a classifier to tell fresh rows from old ones, and measure it on held-out rows."""
    old, fresh = (sample(_seen(evidence, side), ROWS, evidence.seed) for side in (0, 1))
    told = tell_apart(
        matrix(old, old), matrix(fresh, old), coded=coded_columns(fresh), seed=evidence.seed
    )
    limit = evidence.policy.joint_auc
    good = told.auroc < limit
    weights = dict(zip(fresh.columns, told.weights, strict=True))
    by = [name for name in sorted(weights, key=lambda name: -weights[name]) if weights[name] > 0.01]
    return [
        Finding(
            "joint_drift",
            Verdict.PASS if good else Verdict.FAIL,
            f"a classifier tells fresh from old rows with AUROC {told.auroc:.3f}, limit {limit:g}"
            + (f"; it looks at {names(by, 3)}" if by and not good else ""),
            measured=told.auroc,
            limit=limit,
            unit="AUROC",
            interval=Interval(told.low, told.high),
            n=told.n,
            passes_if="" if good else f"an AUROC below {limit:g}",
            enforced=evidence.policy.drift_enforced,
            picture=bars(weights, None, "AUROC lost when shuffled"),
        )
    ]


def _seen(evidence: Evidence, side: int) -> pl.DataFrame:
    """Take one side's rows; of images the classifier sees coarse fields too."""
    frame = evidence.compared[side]
    for name in evidence.images:
        coarse = fields(evidence.drawn[side][name])
        names = [f"{name} field {place}" for place in range(coarse.shape[1])]
        frame = frame.hstack(pl.DataFrame(coarse, schema=names).get_columns())
    return frame
