"""What our training loop costs beside a bare one: `python -m benchmarks.training.loop`.

Both train the same network on the same rows in batches of the same size with fused AdamW. The bare
loop does nothing else; ours also follows a schedule, clips gradients and keeps their norms and
losses. CPU time of one thread. The two make their steps in turn, so that whatever else the machine
does slows both alike; what is compared are the steps of one turn.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from instar.core.clock import SystemClock
from instar.core.data import InputSpec, TaskKind
from instar.ledger.safedir import SafeDir
from instar.models.families import NETWORKS
from instar.stages.train import loop
from instar.stages.train.course import Course, Group, Term
from instar.stages.train.keeper import Keeper
from instar.stages.train.losses import choose
from instar.stages.train.methods.distill import term
from instar.stages.train.optimizers.adamw import adamw
from instar.stages.train.rows import Rows
from instar.stages.train.schedules.cosine import cosine

VALID = 64  # few rows: the claim is about steps, and an epoch here is short
WARM = 10  # steps of each round that do not count


@dataclass(frozen=True, slots=True)
class Case:
    """A network, and how it is trained; with `old` half of each batch is replayed, and taught."""

    name: str
    family: str
    spec: InputSpec
    options: dict[str, object]
    batch: int
    steps: int
    old: bool = False
    goal: float = 1.0  # of the bare loop's CPU

    @property
    def kind(self) -> TaskKind:
        return TaskKind.BINARY if self.spec.outputs == 1 else TaskKind.MULTICLASS

    @property
    def fresh(self) -> int:
        return self.batch // 2 if self.old else self.batch

    @property
    def terms(self) -> tuple[Term, ...]:
        return (term(self.kind, 2.0),) if self.old else ()

    def net(self) -> nn.Module:
        return NETWORKS[self.family](self.spec, **self.options)

    def rows(self, count: int) -> Rows:
        x = torch.randn(count, *(self.spec.image or (self.spec.numbers,)))
        y = torch.randint(0, self.spec.outputs, (count,))
        if self.kind is TaskKind.BINARY:
            y = (x.flatten(1).sum(1, keepdim=True) > 0).float()
        trust = (torch.arange(count) >= self.fresh * self.steps) * 0.6
        return Rows((x,), y, teacher=torch.randn(count, self.spec.outputs), trust=trust)


NUMBERS, IMAGE = InputSpec(numbers=32, outputs=1), InputSpec(image=(1, 28, 28), outputs=10)
MLP: dict[str, object] = {"hidden": [80, 80]}
CASES = (
    Case("MLP, 9.2k parameters", "mlp", NUMBERS, MLP, 256, 400),
    Case("the same, replay and distillation", "mlp", NUMBERS, MLP, 256, 400, old=True),
    Case(
        "CNN, 105k parameters",
        "cnn",
        IMAGE,
        {"channels": [16, 32], "hidden": 64},
        128,
        40,
        goal=1.05,
    ),
)


def bare(case: Case, data: Rows) -> Iterator[None]:
    """Make a step a time."""
    net, loss_of = case.net().train(), choose("auto", case.kind)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    fresh = case.fresh * case.steps
    order = torch.randperm(fresh).tensor_split(case.steps)
    replay = (fresh + torch.randperm(len(data) - fresh)).tensor_split(case.steps)
    for new, old in zip(order, replay, strict=True):
        i = torch.cat([new, old]) if case.old else new
        out, truth = net(data.inputs[0][i]), data.labels[i]
        loss = loss_of(out, truth)
        for more in case.terms:
            loss = loss + more(out, data, i)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        yield


@dataclass(slots=True)
class Turns:
    """The pulse of our loop: after each of its steps the bare one makes one; both are measured."""

    bare: Iterator[None]
    took: dict[str, list[float]] = field(default_factory=dict)
    began: float = 0.0

    def beat(self) -> None:
        self._note("ours")
        next(self.bare)
        self._note("bare")

    def _note(self, name: str) -> None:
        self.took.setdefault(name, []).append(1e3 * (time.process_time() - self.began))
        self.began = time.process_time()

    def stopping(self) -> bool:
        return False


def ours(case: Case, data: Rows, turns: Turns) -> None:
    net = case.net()
    course = Course(
        rule=adamw,
        schedule=cosine,
        loss=choose("auto", case.kind),
        terms=case.terms,
        metric=lambda out, labels: float(out.mean()),
        lr=1e-3,
        batch=case.fresh,
        epochs=1,
        replay_ratio=float(case.old),
        weight_decay=1e-2,
        patience=5,
        clip=1.0,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        turns.began = time.process_time()
        loop.fit(
            net,
            data,
            case.fresh * case.steps,
            case.rows(VALID),
            course,
            groups=[Group(list(net.parameters()))],
            keeper=Keeper(SafeDir(Path(folder)), "", SystemClock(), math.inf, turns),
            tell=lambda _: None,
        )


def beside(some: list[float], others: list[float]) -> float:
    """Compare steps made in the same turn; the median of the ratios."""
    return statistics.median(a / b for a, b in zip(some, others, strict=True))


def measure(case: Case, rounds: int) -> dict[str, object]:
    data = case.rows(case.batch * case.steps)
    took: list[dict[str, list[float]]] = []
    for _ in range(rounds):
        turns = Turns(bare(case, data))
        ours(case, data, turns)
        took.append({name: steps[WARM:] for name, steps in turns.took.items()})
    ratios = sorted(beside(one["ours"], one["bare"]) for one in took)
    return {
        "case": case.name,
        "goal": case.goal,
        "bare_ms": statistics.median(ms for one in took for ms in one["bare"]),
        "ours_ms": statistics.median(ms for one in took for ms in one["ours"]),
        "ratio": statistics.median(ratios),
        "ratio_low": ratios[0],
        "ratio_high": ratios[-1],
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"CPU ms a step, {rounds} rounds, medians\n")
    print(f"{'':34}{'bare':>8}{'ours':>8}{'ratio':>8}   lowest - highest   goal")
    results = [measure(case, rounds) for case in CASES]
    for r in results:
        print(
            f"{r['case']:34}{r['bare_ms']:8.3f}{r['ours_ms']:8.3f}{r['ratio']:8.3f}"
            f"   {r['ratio_low']:.3f} - {r['ratio_high']:.3f}      {r['goal']:.2f}"
        )
    print(json.dumps({"benchmark": "training.loop", "results": results}))


if __name__ == "__main__":
    main()
