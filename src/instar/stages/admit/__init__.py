"""Admit: the data gate. Fresh rows in; findings, a quarantine list and a split out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.bundle.runtime import ServedBundle
from instar.core.data import Snapshot, Split
from instar.core.finding import Finding, Verdict, worst
from instar.core.policy import AdmitPolicy
from instar.core.records import Admission, ModelVersion, Request
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data.schema import conform, revise
from instar.data.schema.tasks import labelled
from instar.data.snapshot import load, load_all, take, to_bytes
from instar.data.split import sample, split
from instar.stages.admit.checks import CHECKS
from instar.stages.admit.cleaning import cleaned
from instar.stages.admit.evidence import COMPARED, Evidence, Held, align
from instar.tasks import form_of

ASKED = 256  # images whose pixels are answered at once
__all__ = ["admit"]


def admit(
    request: Request, champion: ModelVersion, *, policy: AdmitPolicy, tools: Tools
) -> Admission:
    """Ask every check about the fresh rows, and split those that may be learnt from.

    Where the request names the champion's features, its schema stands; else it is revised, and
    what is new is learnt from the fresh rows.

    Raises:
        InputError: the rows are unusable as a whole (see `instar.data.schema.conform`).
    """
    evidence = gather(request, champion, policy, tools)
    findings, held = ask(evidence, tools)
    verdict = worst(findings)
    barred = np.unique(np.concatenate([[], *(part.rows for part in held)])).astype(np.int64)
    return Admission(
        verdict=verdict,
        findings=tuple(findings),
        rows=evidence.fresh.height,
        schema=evidence.schema,
        cleaning=cleaned(evidence, barred),
        quarantine=_quarantine(held, tools) if held else None,
        quarantined=len(barred),
        split=_split(evidence, barred, request, tools) if verdict is Verdict.PASS else None,
    )


def gather(request: Request, champion: ModelVersion, policy: AdmitPolicy, tools: Tools) -> Evidence:
    """Load what the checks look at; the champion's bundle waits until somebody asks it."""
    frame = load(request.fresh, tools.artifacts)
    schema = revise(champion.schema, frame, request.task, request.features)
    frame = conform(
        frame,
        schema,
        request.task,
        request.features,
        unknown_category=policy.unknown_category,
        new_classes=policy.new_classes,
    )
    return Evidence(
        fresh=frame,
        train=align(
            sample(load_all(champion.train, tools.artifacts), COMPARED, tools.seed), schema
        ),
        holdout=align(load_all(champion.holdout, tools.artifacts), schema),
        schema=schema,
        task=request.task,
        preprocessing=champion.preprocessing,
        policy=policy,
        answers=_Champion(champion, tools),
        seed=tools.seed,
    )


def ask(evidence: Evidence, tools: Tools) -> tuple[list[Finding], list[Held]]:
    """Put the evidence to every check in turn."""
    findings: list[Finding] = []
    held: list[Held] = []
    for done, (name, check) in enumerate(CHECKS.items()):
        tools.progress("admit", done, len(CHECKS), name)
        for answer in check(evidence):
            if isinstance(answer, Held):
                held.append(answer)
            else:
                findings.append(answer)
    return findings, held


class _Champion:
    """Score rows with the champion's sealed bundle, opened on first use; of masks, what is kept."""

    def __init__(self, champion: ModelVersion, tools: Tools) -> None:
        self._version, self._tools = champion, tools
        self._bundle: ServedBundle | None = None

    def __call__(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        if self._bundle is None:
            manifest = self._version.bundle.manifest
            self._bundle = ServedBundle.open(self._tools.artifacts, manifest)
        task, how = self._bundle.task, self._version.preprocessing
        marked = form_of(task).marked
        step = ASKED if task.dense else max(1, frame.height)
        parts = [frame[at : at + step] for at in range(0, max(1, frame.height), step)]
        asked = (self._bundle.predict(prepare.columns(part, how)) for part in parts)
        scores = [marked(answers, task) for answers in asked]
        return np.concatenate(scores)


def _quarantine(held: Sequence[Held], tools: Tools) -> str:
    parts = [
        pl.DataFrame({"row": part.rows}).with_columns(
            reason=pl.lit(part.reason), column=pl.lit(part.column)
        )
        for part in held
    ]
    return tools.artifacts.put(to_bytes(pl.concat(parts).sort("row", maintain_order=True)))


def _split(evidence: Evidence, barred: NDArray[np.int64], request: Request, tools: Tools) -> Split:
    allowed = np.ones(evidence.fresh.height, bool)
    allowed[barred] = False
    known = labelled(evidence.task)
    rows, without = (evidence.fresh.filter(pl.Series(allowed) & w) for w in (known, ~known))
    how = evidence.policy.split

    def taken(part: pl.DataFrame, name: str) -> Snapshot:
        source = f"{request.fresh.source}: {name}"
        return take(part, evidence.schema, tools.artifacts, source, request.task.time)

    parts = split(rows, request.task, how, tools.seed)
    train, valid, test = map(taken, parts, ("train", "validation", "test"))
    kept = evidence.policy.unlabelled == "keep" and without.height
    return Split(train, valid, test, how.how, taken(without, "unlabelled") if kept else None)
