"""What is done to admitted rows, on the record."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from instar.core.data import Cleaning, Kind, Role
from instar.stages.admit.evidence import Evidence


def cleaned(evidence: Evidence, barred: NDArray[np.int64]) -> tuple[Cleaning, ...]:
    """List what is done to the rows: dropped or kept apart without a label, held back, filled.

    Missing values stay missing in the snapshots. The preprocessing fills them, in training and in
    the bundle alike, so that a live request is treated as a training row was.
    """
    return (*_unlabelled(evidence), *_barred(barred), *_filled(evidence))


def _unlabelled(evidence: Evidence) -> list[Cleaning]:
    rows = evidence.fresh.height - evidence.labelled.height
    done = "keep apart" if evidence.policy.unlabelled == "keep" else "drop"
    return [Cleaning(f"{done} rows without a label", evidence.task.shown, rows)] if rows else []


def _barred(barred: NDArray[np.int64]) -> list[Cleaning]:
    return [Cleaning("hold rows back", "", len(barred))] if len(barred) else []


def _filled(evidence: Evidence) -> list[Cleaning]:
    fills = {column.name: f"{column.fill:g}" for column in evidence.preprocessing.numbers}
    found = []
    for column in evidence.schema.of(Role.FEATURE):
        rows = evidence.fresh[column.name].null_count()
        if rows and column.kind is not Kind.IMAGE:
            default = "code 0" if column.kind is Kind.CATEGORY else "fitted with the candidate"
            value = fills.get(column.name, default)
            found.append(Cleaning("fill missing values", column.name, rows, {"with": value}))
    return found
