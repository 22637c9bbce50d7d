from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from instar.core.codec import encode
from instar.core.data import Column, Kind, Preprocessing, Role, Schema, Snapshot, Task, TaskKind
from instar.core.digest import digest_json
from instar.core.finding import Verdict
from instar.core.policy import ReleasePolicy, StepRule
from instar.core.records import (
    Approval,
    Bundle,
    ModelVersion,
    Network,
    Order,
    OrderKind,
    Phase,
    Release,
    Request,
    Validation,
)
from instar.core.tools import Route
from instar.stages.release import release
from instar.testing.tools import fake_tools
from instar.testing.traffic import Behaviour, FakeTraffic

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
TASK = Task(TaskKind.BINARY, "late", ("no", "yes"))
SCHEMA = Schema((Column("x", Kind.NUMBER, Role.FEATURE, "Float64"),))
POLICY = ReleasePolicy(
    steps=(
        StepRule(share=0.1, requests=100, labels=50),
        StepRule(share=0.5, requests=300, labels=200),
    ),
    quality_margin=0.05,
)


def bundle(name: str) -> Bundle:
    return Bundle(name, f"sha256:{name}", (), "model.onnx", "fp32", Verdict.PASS, ())


CHAMPION = ModelVersion(
    name=OLD,
    task=TASK,
    network=Network(family="mlp"),
    schema=SCHEMA,
    preprocessing=Preprocessing(),
    weights="sha256:w",
    bundle=bundle(OLD),
    train=(),
    holdout=(),
)
CANDIDATE = bundle(NEW)
VALIDATION = Validation(Verdict.PASS, (), CANDIDATE.manifest, {}, {})
JUDGED = digest_json(encode(VALIDATION))
APPROVAL = Approval(Verdict.PASS, (), (), CANDIDATE.manifest, JUDGED, "sha256:p")
REQUEST = Request(
    update="u0001",
    model="m",
    reason="",
    by="ada",
    fresh=Snapshot("sha256:s", 1, SCHEMA, "fresh.csv"),
    task=TASK,
    network=Network(family="mlp"),
    features=("x",),
    policy="sha256:p",
    seed=0,
    champion=OLD,
)


USUAL = Behaviour()


class Stage:
    """A release under a policy, before a gateway in memory."""

    def __init__(
        self, folder: Path, policy: ReleasePolicy, new: Behaviour, old: Behaviour, seed: int
    ):
        home = Route("m", 1, {OLD: 1.0}, {OLD: CHAMPION.bundle.manifest}, OLD)
        self.traffic = FakeTraffic(home, {OLD: old, NEW: new}, seed)
        self.tools = fake_tools(folder, traffic=self.traffic)
        self.policy = policy
        self.champion, self.candidate, self.approval = CHAMPION, CANDIDATE, APPROVAL
        self.validation = VALIDATION
        self.orders: tuple[Order, ...] = ()
        self.request = REQUEST
        self.last: Release | None = None

    def order(self, kind: OrderKind, **more: object) -> None:
        """Let a person say something."""
        given = Order(kind, "person:bob", 0.0, **{"reason": "seen", **more})
        self.orders = (*self.orders, given)

    def tick(self) -> Release:
        self.last = release(
            self.request,
            self.champion,
            self.candidate,
            self.validation,
            self.approval,
            self.orders,
            self.last,
            policy=self.policy,
            tools=self.tools,
        )
        return self.last

    def run(self, *, each: int = 100, ticks: int = 200, labels: bool = True) -> Release:
        """Tick until it ends, with traffic between the ticks."""
        for _ in range(ticks):
            now = self.tick()
            if now.phase in (Phase.PROMOTED, Phase.ROLLED_BACK):
                return now
            self.tools.clock.sleep(1.0)
            self.traffic.serve(each, labels=labels)
        return now


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Stage]:
    def make(
        new: Behaviour = USUAL,
        old: Behaviour = USUAL,
        policy: ReleasePolicy = POLICY,
        seed: int = 0,
        **changes: object,
    ) -> Stage:
        return Stage(tmp_path, replace(policy, **changes), new, old, seed)

    return make
