"""Measure how far each column's distribution has moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.pictures import bars, histograms, rounded
from instar.stages.admit.words import names
from instar.stats.chi_square import chi_square
from instar.stats.holm import holm
from instar.stats.kolmogorov_smirnov import kolmogorov_smirnov
from instar.stats.psi import edges, histogram, psi

SHOWN = 20  # categories that a picture shows


@dataclass(frozen=True, slots=True)
class Moved:
    """One column: effect (PSI), p-value, and what moved in words and as a picture."""

    name: str
    effect: float
    p: float
    words: str
    picture: dict[str, Any]


def drift(evidence: Evidence) -> list[Finding]:
    """Compare each feature with the champion's training rows.

    A column has drifted when the effect is large (PSI, missing values being a bin of their own) and
    the difference is no accident: Kolmogorov-Smirnov for numbers, chi-square for categories and
    for how many values are missing, corrected by Holm for the number of columns.
    """
    old, fresh = evidence.compared
    columns = [name for name in fresh.columns if old[name].count() and fresh[name].count()]
    moved = [
        _category(old[name], fresh[name])
        if fresh[name].dtype == pl.String
        else _number(old[name], fresh[name])
        for name in columns
    ]
    adjusted = holm([each.p for each in moved])
    limit, alpha = evidence.policy.drift_effect, evidence.policy.drift_alpha
    over = [
        (each, p)
        for each, p in zip(moved, adjusted, strict=True)
        if each.effect >= limit and p < alpha
    ]
    over.sort(key=lambda pair: -pair[0].effect)
    return [
        _headline(evidence, moved, [each.name for each, _ in over]),
        *(_over(evidence, each, float(p)) for each, p in over),
    ]


def _headline(evidence: Evidence, moved: list[Moved], over: list[str]) -> Finding:
    limit = evidence.policy.drift_effect
    message = f"{len(over)} of {len(moved)} columns drifted against the champion's training rows"
    return Finding(
        "drift",
        Verdict.FAIL if over else Verdict.PASS,
        f"{message}: {names(over)}" if over else message,
        measured=max((each.effect for each in moved), default=0.0),
        limit=limit,
        unit="PSI",
        n=evidence.compared[1].height,
        passes_if=f"every PSI below {limit:g}" if over else "",
        enforced=evidence.policy.drift_enforced,
        picture=bars({each.name: each.effect for each in moved}, limit, "PSI"),
    )


def _over(evidence: Evidence, moved: Moved, p: float) -> Finding:
    limit = evidence.policy.drift_effect
    chance = "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
    return Finding(
        f"drift:{moved.name}",
        Verdict.FAIL,
        f"{moved.name} drifted: PSI {moved.effect:.2f}, limit {limit:g} ({moved.words}; {chance} "
        "after correction)",
        measured=moved.effect,
        limit=limit,
        unit="PSI",
        n=evidence.compared[1].height,
        passes_if=f"a PSI below {limit:g}",
        enforced=evidence.policy.drift_enforced,
        picture=moved.picture,
    )


def _number(old: pl.Series, fresh: pl.Series) -> Moved:
    before, now = (side.drop_nulls().to_numpy() for side in (old, fresh))
    inner = edges(before)
    counts = [
        np.append(histogram(values, inner), side.null_count())
        for values, side in ((before, old), (now, fresh))
    ]
    _, values = kolmogorov_smirnov(before, now)
    _, gaps = chi_square(*([len(s) - s.null_count(), s.null_count()] for s in (old, fresh)))
    p = min(1.0, 2 * min(values, gaps))
    words = f"median {np.median(before):.4g} before, {np.median(now):.4g} now"
    bins = [f"< {inner[0]:.4g}", *(f"from {cut:.4g}" for cut in inner), "missing"]
    return Moved(old.name, psi(*counts), p, words, histograms(old.name, bins, *counts))


def _category(old: pl.Series, fresh: pl.Series) -> Moved:
    counts = _counts(old).join(_counts(fresh), on="value", how="full", coalesce=True)
    counts = counts.fill_null(0).sort("count", "value", descending=[True, False])
    before, now = (counts[name].to_numpy() for name in ("count", "count_right"))
    _, p = chi_square(before, now)
    change = now / max(1, now.sum()) - before / max(1, before.sum())
    most = int(np.abs(change).argmax())
    label = counts["value"][most]
    words = f"{label} {100 * rounded(change[most]):+.2g} points"
    shown = histograms(old.name, counts["value"].head(SHOWN).to_list(), before[:SHOWN], now[:SHOWN])
    return Moved(old.name, psi(before, now), p, words, shown)


def _counts(values: pl.Series) -> pl.DataFrame:
    return values.fill_null("missing").alias("value").value_counts()
