"""Find blocks of rows whose labels do not belong to their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.finding import Finding, Interval, Verdict
from instar.data.schema.tasks import target_of
from instar.stages.admit.evidence import Evidence, Held
from instar.stages.admit.matrix import coded_columns, matrix
from instar.stages.admit.words import count, days, share
from instar.stats.cross_fit import cross_fit
from instar.stats.lost_agreement import lost_agreement, slopes
from instar.stats.moved_labels import moved_labels
from instar.stats.scan import cuts

Floats = NDArray[np.float64]
SCORED, RUN = 60_000, 256  # rows scored at most, in runs, so that neighbours stay neighbours
DRAWN = 30  # blocks that the picture shows
CLEAR = 3.0  # standard errors from which scores and labels count as agreeing
ENOUGH, MIXED = 1_000, 0.02  # labelled rows, and changes of label from row to row, that should do


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows judged: their numbers in the file, their scores, and what these should be."""

    rows: NDArray[np.int64]
    scores: Floats
    truth: Floats


def label_noise(evidence: Evidence) -> list[Finding | Held]:
    """Search the file, in its order, for blocks of rows whose labels come from other rows.

    Rows are scored by the champion and, so that a stale champion does not blind the check, by a
    quick model of the file's other rows. The scores need not be good, only better than nothing.
    Asked is whether a neighbour's label fits them better than a row's own (a join moved by some
    rows), and whether a block agrees with them much less than the blocks before and behind it
    (labels mixed up or swapped). Neither compares with old data: a relation that changed is no
    alarm.
    """
    judged = _judge(evidence)
    policy = evidence.policy
    given = {"limit": policy.label_noise, "alpha": policy.drift_alpha / 2}
    moved = moved_labels(judged.scores, judged.truth, seed=evidence.seed, **given)
    answers: list[Finding | Held] = []
    for block in moved:
        where = slice(block.first, block.last)
        what = f"were moved {_places(block.lag)}"
        interval = Interval(block.low, block.high, 1 - policy.drift_alpha)
        answers += _answers(evidence, judged, where, block.share, interval, what)
    if not moved and (lost := lost_agreement(judged.scores, judged.truth, **given)):
        where = slice(lost.first, lost.last)
        what = "contradict" if lost.share > 1.5 else "do not agree with"
        what += " the scores, as those of the other rows do"
        interval = Interval(lost.low, min(1.0, lost.high), 1 - policy.drift_alpha)
        answers += _answers(evidence, judged, where, min(1.0, lost.share), interval, what)
    if answers:
        return answers
    return [_headline(evidence, judged) if _tells(judged) else _blind(evidence, judged)]


def _judge(evidence: Evidence) -> Judged:
    height = evidence.fresh.height
    rows = np.arange(height)
    if height > SCORED:
        step = int(np.ceil(height / SCORED))
        rows = rows[(rows // RUN) % step == 0]
    frame = evidence.fresh[rows]
    scores = evidence.answers(frame).astype(np.float64)
    truth = _truth(frame, evidence, scores.shape[1])
    if not evidence.images:
        scores += _second_opinion(frame, truth, evidence)
    return Judged(rows, scores, truth)


def _second_opinion(frame: pl.DataFrame, truth: Floats, evidence: Evidence) -> Floats:
    features = frame.select(column.name for column in evidence.schema.features)
    rows = matrix(features, evidence.compared[0])
    coded = coded_columns(features)
    if not _apart(evidence):
        return cross_fit(rows, truth, coded=coded, seed=evidence.seed)
    each = [
        cross_fit(rows, truth[:, place : place + 1], coded=coded, seed=evidence.seed)
        for place in range(truth.shape[1])
    ]
    return np.concatenate(each, axis=1)


def _apart(evidence: Evidence) -> bool:
    """Tell whether several labels may hold at once: then each has a model of its own."""
    return evidence.marks is not None and evidence.marks[1].apart


def _truth(frame: pl.DataFrame, evidence: Evidence, outputs: int) -> Floats:
    """Write labels as the scores that would be right, shape (n, outputs); NaN without a label.

    A row of which only some labels are known counts as one without.
    """
    marks = target_of(evidence.task).marks(frame, evidence.task)
    if marks is not None:
        values = marks.values[:, :outputs]
        return np.where(np.isnan(values).any(axis=1, keepdims=True), np.nan, values)
    target = frame[evidence.task.target]
    numbers: Floats = target.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return numbers.reshape(-1, 1)


def _places(lag: int) -> str:
    rows = "one row" if abs(lag) == 1 else f"{abs(lag)} rows"
    return f"{'down' if lag > 0 else 'up'} by {rows}"


def _answers(
    evidence: Evidence,
    judged: Judged,
    where: slice,
    value: float,
    interval: Interval,
    what: str,
) -> list[Finding | Held]:
    first, last = int(judged.rows[where][0]), int(judged.rows[where][-1])
    rows = np.arange(first, last + 1)
    limit = evidence.policy.label_noise
    span = f"rows {count(first)} to {count(last)}{days(evidence.times(rows))}"
    finding = Finding(
        f"label_noise:{first}-{last}",
        Verdict.FAIL,
        f"labels of {span} {what}: about {share(value)} belong to another row, "
        f"limit {share(limit)}",
        measured=value,
        unit="share",
        limit=limit,
        interval=interval,
        n=len(rows),
        passes_if=f"{evidence.task.shown} joined anew for {span}, or those rows left out",
        picture=_picture(evidence, judged),
    )
    reason = f"labels {what}"
    return [finding, Held(rows, reason, evidence.task.shown)]


def _headline(evidence: Evidence, judged: Judged) -> Finding:
    limit = evidence.policy.label_noise
    message = "no block of rows has labels that fit other rows better, or the scores much less"
    return Finding(
        "label_noise",
        Verdict.PASS,
        message,
        limit=limit,
        n=len(judged.rows),
        picture=_picture(evidence, judged),
    )


def _tells(judged: Judged) -> bool:
    """Say whether scores and labels agree at all, so that a block could stand out."""
    whole = np.array([0, len(judged.rows)])
    slope, variance = slopes(judged.scores, judged.truth, whole)
    return bool(slope[0] > CLEAR * np.sqrt(variance[0]))


def _blind(evidence: Evidence, judged: Judged) -> Finding:
    """Say that nothing could be seen: in order for few rows, or for rows sorted by label."""
    labels = target_of(evidence.task).strata(evidence.labelled, evidence.task, evidence.seed)
    mixed = float((labels[1:] != labels[:-1]).mean()) if len(labels) > 1 else 0.0
    weak = evidence.policy.label_noise == 1  # no share of wrong labels would be too many
    enforced = len(labels) >= ENOUGH and mixed > MIXED and not weak
    return Finding(
        "label_noise",
        Verdict.INCONCLUSIVE,
        "labels go along neither with the champion's scores nor with those of a model of these "
        "rows, beyond what neighbouring rows share"
        + ("" if enforced or weak else "; there are few rows, or they are sorted by label"),
        limit=evidence.policy.label_noise,
        n=len(judged.rows),
        passes_if="labels that the features have to do with, in an order that mixes them; or "
        "admit.label_noise at 1, where features say little and labels are known to be right",
        enforced=enforced,
        picture=_picture(evidence, judged),
    )


def _picture(evidence: Evidence, judged: Judged) -> dict[str, Any]:
    """Draw how closely labels follow the champion's scores along the file."""
    blocks = min(DRAWN, len(judged.rows) // 50)
    if blocks < 2:
        return {}
    at = cuts(len(judged.rows), blocks)
    slope, variance = slopes(judged.scores, judged.truth, at)
    half = 1.96 * np.sqrt(variance)
    bounds = zip(at[:-1], at[1:] - 1, slope, half, strict=True)
    rows = [
        {
            "label": f"{judged.rows[first]}-{judged.rows[last]}",
            "value": float(f"{value:.4g}"),
            "low": float(f"{value - reach:.4g}"),
            "high": float(f"{value + reach:.4g}"),
        }
        for first, last, value, reach in bounds
    ]
    unit = "how far labels follow scores"
    return {"kind": "intervals", "rows": rows, "zero": 0, "limit": None, "unit": unit}
