"""A made-up model line: its records, and a ledger that holds as many of them as a test wants."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from instar.core.codec import encode
from instar.core.data import (
    Column,
    Kind,
    NumberColumn,
    Preprocessing,
    Role,
    Schema,
    Snapshot,
    Split,
    Task,
    TaskKind,
)
from instar.core.digest import digest_bytes, digest_json
from instar.core.finding import Finding, Verdict
from instar.core.records import (
    Admission,
    Approval,
    Bundle,
    ModelVersion,
    Network,
    Phase,
    Plan,
    Release,
    Request,
    Training,
    Validation,
    Vote,
    VoteKind,
)
from instar.core.update import KINDS
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import SqliteJournal
from instar.service import Workspace

YAML = """\
model: demand
task: {kind: binary, target: up}
network: {family: mlp, hidden: [8]}
"""
ZERO, OLD, NEW = "model_v20251201_0000", "model_v20260101_0000", "model_v20260102_0000"
PASS, OPEN = Verdict.PASS, Verdict.INCONCLUSIVE
TASK = Task(TaskKind.BINARY, "up", ("no", "yes"))
SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER, Role.FEATURE, "Float64"),
        Column("shop", Kind.CATEGORY, Role.FEATURE, "String", ("north", "south")),
        Column("note", Kind.NUMBER, Role.IGNORED, "Float64"),
        Column("up", Kind.CATEGORY, Role.TARGET, "String", ("no", "yes")),
    )
)
HOW = Preprocessing(numbers=(NumberColumn("x", 0.0, 1.0, 0.0),))


def digest(name: str) -> str:
    return digest_bytes(name.encode())


def snapshot(name: str) -> Snapshot:
    return Snapshot(digest(name), 300, SCHEMA, name)


def finding(code: str, verdict: Verdict = PASS, **more: Any) -> Finding:
    return Finding(code, verdict, f"{code} says {verdict.value}", **more)


def bundle(name: str) -> Bundle:
    return Bundle(name, digest(name), (), "model.onnx", "fp32", PASS, (finding("parity"),))


def model(name: str, parent: str | None = None) -> ModelVersion:
    return ModelVersion(
        name=name,
        task=TASK,
        network=Network(family="mlp", options={"hidden": [8]}),
        schema=SCHEMA,
        preprocessing=HOW,
        weights=digest(name + "w"),
        bundle=bundle(name),
        train=(snapshot("train"),),
        holdout=(snapshot("holdout"),),
        parent=parent,
    )


REQUEST = Request(
    update="u0001",
    model="demand",
    reason="weekly",
    by="alice",
    fresh=snapshot("fresh"),
    task=TASK,
    network=model(OLD).network,
    features=("x", "shop"),
    policy=digest("policy"),
    seed=0,
    champion=OLD,
)
ADMISSION = Admission(
    PASS,
    (finding("missing"),),
    300,
    SCHEMA,
    split=Split(snapshot("learn"), snapshot("valid"), snapshot("test")),
)
PLAN = Plan(PASS, (finding("probe"),), "incremental", "it pays", ())
TRAINING = Training(
    PASS,
    (finding("course"),),
    digest("weights"),
    HOW,
    SCHEMA,
    (snapshot("learn"),),
    "incremental",
    {"lr": 0.01},
    (),
    (),
    1,
    1,
)
BUNDLE = bundle(NEW)
VALIDATION = Validation(
    PASS, (finding("metrics:auroc"),), BUNDLE.manifest, {"auroc": 0.7}, {"auroc": 0.8}
)
TOO_GOOD = replace(
    VALIDATION,
    verdict=OPEN,
    findings=(
        finding("attack", Verdict.FAIL, enforced=False, passes_if="a sturdier network"),
        finding("suspicious", OPEN, passes_if="people who vouch for it"),
    ),
)
MADE = (ADMISSION, PLAN, TRAINING, BUNDLE, VALIDATION)


def vote(kind: VoteKind, by: str, validation: Validation = VALIDATION, **more: Any) -> Vote:
    bound = (digest_json(encode(validation)), BUNDLE.manifest, REQUEST.policy)
    return Vote(kind, by, more.pop("at", 0.0), *bound, **more)


def approval(**more: Any) -> Approval:
    bound = (BUNDLE.manifest, digest_json(encode(VALIDATION)), REQUEST.policy)
    given: dict[str, Any] = {"votes": (), "expires_at": None, **more}
    votes, until = given["votes"], given["expires_at"]
    return Approval(PASS, (finding("approvals"),), votes, *bound, expires_at=until)


def moving(phase: Phase, share: float) -> Release:
    return Release(phase, 1, {OLD: 1 - share, NEW: share}, PASS, (), phase.value, generation=4)


def file(journal: SqliteJournal, *records: Any, actor: str = "worker", epoch: int | None = None):
    """Append records to the update, under the kinds that they have in a ledger."""
    kinds = {record: kind for kind, record in KINDS.items()}
    for record in records:
        journal.append(
            kinds[type(record)],
            encode(record),
            update=REQUEST.update,
            model=REQUEST.model,
            actor=actor,
            epoch=epoch,
        )


def crown(journal: SqliteJournal, made: ModelVersion, kind: str = "promotion") -> None:
    """Make a version the champion, as an adoption or a promotion does."""
    here = journal.champion("demand")
    journal.promote(
        "demand",
        expect=here.seq if here else None,
        body=encode(made),
        actor="worker",
        epoch=None,
        kind=kind,
        update=made.update,
    )


def lay_out(folder: Path, *records: Any, clock: Callable[[], float] = time.time) -> SqliteJournal:
    """Make a workspace with two champions so far, ZERO and OLD, and the update's records."""
    (folder / "instar.yaml").write_text(YAML)
    DirectoryArtifacts(folder / ".instar" / "artifacts")
    journal = SqliteJournal(folder / ".instar" / "ledger.db", clock)
    crown(journal, model(ZERO), "adoption")
    crown(journal, model(OLD, parent=ZERO))
    file(journal, *records)
    return journal


def space(folder: Path, by: str = "bob") -> Workspace:
    return Workspace(folder, by=by)
