"""Metrics of several labels a row, (n, l) each; a label that is NaN is not known, and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from instar.core.data import TaskKind
from instar.stats.metrics import auroc
from instar.stats.metrics.hits import macro
from instar.stats.metrics.metric import Floats, Labels, Metric, Weighted, ratio

KINDS = frozenset({TaskKind.MULTILABEL})
HALF = (0.5,)


def _macro_auroc(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
    """Average the AUROC of the labels, leaving out those that do not occur both ways."""
    places = [np.flatnonzero(~np.isnan(labels[:, j])) for j in range(labels.shape[1])]
    areas = [
        auroc.prepare(scores[rows, j : j + 1], labels[rows, j]) if len(rows) else None
        for j, rows in enumerate(places)
    ]

    def area(weights: Floats) -> Floats:
        each = [made(weights[:, rows]) for made, rows in zip(areas, places, strict=True) if made]
        if not each:
            return np.full(len(weights), np.nan)
        table = np.stack(each)  # (labels, b)
        known = ~np.isnan(table)
        return ratio(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0).astype(float))

    return area


def _counts(
    scores: Floats, labels: Labels, thresholds: Sequence[float]
) -> Callable[[Floats], tuple[Floats, Floats, Floats]]:
    """Count hits, guesses and members of each label under weights: three arrays (b, l)."""
    known = ~np.isnan(labels)
    guesses = ((scores >= np.asarray(thresholds)) & known).astype(np.float64)
    members = (labels == 1).astype(np.float64)
    return lambda w: (w @ (guesses * members), w @ guesses, w @ members)


def _macro_f1(thresholds: Sequence[float]) -> Weighted:
    def prepare(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
        counts = _counts(scores, labels, thresholds)

        def f1(weights: Floats) -> Floats:
            hits, guesses, members = counts(weights)
            return macro(2 * hits, guesses + members, guesses + members)

        return f1

    return prepare


def _micro_f1(thresholds: Sequence[float]) -> Weighted:
    def prepare(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
        counts = _counts(scores, labels, thresholds)

        def f1(weights: Floats) -> Floats:
            hits, guesses, members = (part.sum(axis=1) for part in counts(weights))
            return ratio(2 * hits, guesses + members)

        return f1

    return prepare


def _wrong(scores: Floats, labels: Labels, thresholds: Sequence[float]) -> tuple[Floats, Floats]:
    """Tell which labels are wrong, and which are known, as 0 and 1, (n, l) each."""
    known = ~np.isnan(labels)
    wrong = known & ((scores >= np.asarray(thresholds)) != (labels == 1))
    return wrong.astype(np.float64), known.astype(np.float64)


def _hamming(thresholds: Sequence[float]) -> Weighted:
    def prepare(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
        wrong, known = (part.sum(axis=1) for part in _wrong(scores, labels, thresholds))
        return lambda weights: ratio(weights @ wrong, weights @ known)

    return prepare


def _subset(thresholds: Sequence[float]) -> Weighted:
    """Count rows whose labels are all right, out of those whose labels are all known."""

    def prepare(scores: Floats, labels: Labels) -> Callable[[Floats], Floats]:
        wrong, known = _wrong(scores, labels, thresholds)
        whole = known.all(axis=1).astype(np.float64)
        right = whole * ~wrong.any(axis=1)
        return lambda weights: ratio(weights @ right, weights @ whole)

    return prepare


MACRO_AUROC = Metric("macro_auroc", _macro_auroc, KINDS, dims=2)
MACRO_F1 = Metric("macro_f1", _macro_f1(HALF), KINDS, dims=2, at=_macro_f1)
MICRO_F1 = Metric("micro_f1", _micro_f1(HALF), KINDS, dims=2, at=_micro_f1)
SUBSET_ACCURACY = Metric("subset_accuracy", _subset(HALF), KINDS, dims=2, at=_subset)
HAMMING_LOSS = Metric("hamming_loss", _hamming(HALF), KINDS, dims=2, higher=False, at=_hamming)
