"""Hold categories and classes against those that the champion knows."""

from __future__ import annotations

import numpy as np
import polars as pl

from instar.core.data import Kind, Role
from instar.core.finding import Finding, Verdict
from instar.data.images import describe
from instar.data.schema.tasks import target_of
from instar.stages.admit.evidence import Evidence, Held
from instar.stages.admit.words import count, names


def form(evidence: Evidence) -> list[Finding | Held]:
    """Report categories and classes that the champion never saw; say what else was held against it.

    Columns, types, image sizes and modes were checked row by row when the file was read: a file
    that breaks them is refused as a whole.
    """
    answers: list[Finding | Held] = []
    for column in evidence.schema.of(Role.FEATURE, Kind.CATEGORY):
        answers += _unknown(evidence, column.name, column.categories)
    if target_of(evidence.task).knows(evidence.task) is not None:
        answers += _unknown_classes(evidence)
    return [_headline(evidence), *answers]


def _headline(evidence: Evidence) -> Finding:
    features = evidence.schema.features
    images = [
        f"images of {describe(column.size, column.mode)} pixels"
        for column in features
        if column.size and column.mode
    ]
    kinds = [
        f"{sum(column.kind is kind for column in features)} {word}"
        for kind, word in ((Kind.NUMBER, "numbers"), (Kind.CATEGORY, "categories"))
        if any(column.kind is kind for column in features)
    ]
    message = f"columns and types are those of the champion's schema: {', '.join(kinds + images)}"
    return Finding("format", Verdict.PASS, message, n=evidence.fresh.height)


def _unknown(evidence: Evidence, name: str, known: tuple[str, ...]) -> list[Finding | Held]:
    values = evidence.fresh[name]
    rows = (values.is_not_null() & ~values.is_in(known)).arg_true().to_numpy().astype(np.int64)
    if not len(rows):
        return []
    aside = evidence.policy.unknown_category == "quarantine"
    strange = values[rows].value_counts(sort=True)
    listed = names(f"{value} ({count(times)})" for value, times in strange.iter_rows())
    finding = Finding(
        f"format:{name}",
        Verdict.FAIL,
        f"{count(len(rows))} rows have a value of {name} that the champion never saw: {listed}; "
        + ("they are held back" if aside else "they are read as unknown"),
        measured=strange.height,
        limit=0,
        unit="values",
        n=evidence.fresh.height,
        passes_if=f"values of {name} out of the {len(known)} known ones",
        enforced=False,
        picture={"kind": "table", "columns": [name, "rows"], "rows": strange.head(20).rows()},
    )
    return [finding, Held(rows, f"unknown value of {name}", name)] if aside else [finding]


def _unknown_classes(evidence: Evidence) -> list[Finding]:
    target, known = evidence.task.target, evidence.task.classes
    fresh = evidence.labelled.filter(~pl.col(target).is_in(known))[target]
    if fresh.is_empty():
        return []
    return [
        Finding(
            f"format:{target}",
            Verdict.FAIL,
            f"{count(len(fresh))} rows have a class that the champion does not know: "
            f"{names(fresh.unique().sort())}",
            measured=fresh.n_unique(),
            limit=0,
            unit="classes",
            n=evidence.labelled.height,
            passes_if=f"labels out of {names(known)}",
            enforced=False,
        )
    ]
