"""What the benchmarks of updating share: a champion, fresh rows, and every way to a successor.

Champion and peers are trained as anybody would with PyTorch alone: AdamW, one cycle of the rate,
batches of 64 through a shuffled index. Ours go through the product's own stages, `plan` and
`train`. Costs are CPU seconds of one thread and sample passes (forward and backward of a row).
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from instar.core.data import Preprocessing, Schema, Snapshot, Split, Task, TaskKind
from instar.core.finding import Verdict
from instar.core.policy import DataSettings, PlanPolicy, TrainPolicy
from instar.core.records import (
    Admission,
    Bundle,
    ModelVersion,
    Network,
    Plan,
    Request,
    Training,
)
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data import snapshot
from instar.data.schema import infer_schema
from instar.data.split import sample
from instar.models import build, predict, weights
from instar.stages.plan import plan
from instar.stages.train import train
from instar.stages.train.sample import keep, size
from instar.testing.tools import fake_tools

torch.set_num_threads(1)


@dataclass(frozen=True)
class World:
    """A task, the network that learns it, and the rows: old and fresh parts, and tests by name."""

    task: Task
    network: Network
    old: pl.DataFrame
    fresh: pl.DataFrame
    valid: pl.DataFrame
    tests: Mapping[str, pl.DataFrame]
    settings: DataSettings = field(default_factory=lambda: DataSettings(scale="standard"))
    old_valid: pl.DataFrame | None = None
    lr: float = 2e-3
    batch: int = 64
    epochs: int = 12
    weight_decay: float = 1e-4


@dataclass
class Result:
    """One successor: how it answers each test, and what it cost."""

    scores: dict[str, NDArray[np.float32]]
    cpu_s: float
    passes: float
    strategy: str = ""
    training_s: float = 0.0  # of the CPU seconds, those of the training without the plan


class Line:
    """One seed of a world: its champion, and whatever is made from it."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        self.tools: Tools = fake_tools(Path(tempfile.mkdtemp(prefix="instar-bench-")), seed=seed)
        self.schema: Schema = infer_schema(world.old, world.task, world.settings)
        self.how: Preprocessing = prepare.fit(world.old, self.schema, world.settings)
        self.net = self.retrain(world.old, seed)[0]
        self.champion = self.version(self.net, world.old)
        self.before = self.answers(self.net)

    def widened(self, world: World) -> Line:
        """Give the same champion another world, whose task has more classes than it knows."""
        line, known = copy.copy(self), len(self.world.task.classes)
        line.world = world
        line.before = {
            name: np.pad(
                self.answer(self.net, frame), ((0, 0), (0, len(world.task.classes) - known))
            )
            for name, frame in world.tests.items()
        }
        return line

    def version(self, net: nn.Module, learnt: pl.DataFrame) -> ModelVersion:
        """Adopt a network as the champion, as `instar adopt` does, without its bundle."""
        world, artifacts = self.world, self.tools.artifacts
        task = world.task
        drawn = sample(learnt, size(learnt.height, TrainPolicy()), self.seed)
        logits = predict.logits(net, prepare.inputs(drawn, self.how))
        replay, replay_logits = keep(drawn, logits, self.schema, None, artifacts)
        held = self.world.old_valid
        return ModelVersion(
            name="champion",
            task=task,
            network=self.world.network,
            schema=self.schema,
            preprocessing=self.how,
            weights=artifacts.put(weights.save(net)),
            bundle=Bundle("champion", "", (), "", "fp32", Verdict.PASS, ()),
            train=(self.take(learnt, "old"),),
            holdout=(self.take(held, "holdout"),) if held is not None else (),
            replay=replay,
            replay_logits=replay_logits,
            recipe={"lr": world.lr, "batch": world.batch, "epochs": world.epochs},
        )

    def take(self, frame: pl.DataFrame, name: str) -> Snapshot:
        return snapshot.take(frame, self.schema, self.tools.artifacts, name)

    def request(self, champion: ModelVersion, fresh: Snapshot) -> Request:
        return Request(
            update="u",
            model="m",
            reason="",
            by="",
            fresh=fresh,
            task=self.world.task,
            network=self.world.network,
            features=self.how.columns,
            policy="",
            seed=self.seed,
            champion=champion.name,
        )

    def update(
        self,
        strategy: str = "auto",
        train_policy: TrainPolicy | None = None,
        plan_policy: PlanPolicy | None = None,
        champion: ModelVersion | None = None,
        fresh: pl.DataFrame | None = None,
        valid: pl.DataFrame | None = None,
    ) -> tuple[Plan, Training | None, float]:
        """Plan and train as the product does; the CPU seconds are those of both."""
        champion = champion or self.champion
        rows = self.take(self.world.fresh if fresh is None else fresh, "fresh")
        held = self.take(self.world.valid if valid is None else valid, "valid")
        admission = Admission(
            Verdict.PASS, (), rows.rows, self.schema, split=Split(rows, held, held)
        )
        scratch = Path(tempfile.mkdtemp(dir=self.tools.scratch))
        tools = replace(self.tools, scratch=scratch)
        request = self.request(champion, rows)
        began = time.process_time()
        policy = replace(plan_policy or PlanPolicy(), strategy=strategy)
        made = plan(request, champion, admission, (), (), policy=policy, tools=tools)
        trained = None
        if made.strategy != "keep":
            how = train_policy or TrainPolicy(checkpoint_s=1e9)
            trained = train(request, champion, admission, made, policy=how, tools=tools)
        return made, trained, time.process_time() - began

    def ours(self, strategy: str = "auto", **more: object) -> Result:
        made, trained, cpu_s = self.update(strategy, **more)  # type: ignore[arg-type]
        if trained is None:
            return Result(dict(self.before), cpu_s, 0.0, made.strategy)
        net = self.network(trained.weights)
        training_s = trained.cost.cpu_s if trained.cost else cpu_s
        return Result(self.answers(net), cpu_s, trained.passes, made.strategy, training_s)

    def network(self, digest: str) -> nn.Module:
        net = self.empty()
        weights.load(net, self.tools.artifacts.read(digest))
        return net.eval()

    def empty(self) -> nn.Module:
        """Build the network, its weights new."""
        inputs = self.how.inputs(self.world.task.outputs)
        return build.build(self.world.network, inputs, self.tools.project)

    def answers(self, net: nn.Module) -> dict[str, NDArray[np.float32]]:
        return {name: self.answer(net, frame) for name, frame in self.world.tests.items()}

    def answer(self, net: nn.Module, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Answer rows, float32 (n, k); labels are not looked at."""
        logits = predict.logits(net, prepare.inputs(frame, self.how))
        return predict.probabilities(logits, self.world.task)

    def retrain(self, frame: pl.DataFrame, seed: int) -> tuple[nn.Module, float, float]:
        """Train from new weights, by hand: what most teams do."""
        torch.manual_seed(seed)
        return self.fit(self.empty(), frame, self.world.lr, self.world.epochs, seed)

    def fine_tune(
        self, frame: pl.DataFrame, seed: int, before: nn.Module | None = None
    ) -> tuple[nn.Module, float, float]:
        """Go on from a version on fresh rows alone, by hand: the other thing teams do.

        Args:
            before: The champion where it is None.
        """
        net = self.empty()
        net.load_state_dict((before or self.net).state_dict())
        return self.fit(net, frame, self.world.lr / 2, -(-2 * self.world.epochs // 3), seed)

    def fit(
        self, net: nn.Module, frame: pl.DataFrame, lr: float, epochs: int, seed: int
    ) -> tuple[nn.Module, float, float]:
        kind = self.world.task.kind
        began = time.process_time()
        inputs = predict.tensors(prepare.inputs(frame, self.how))
        labels = torch.tensor(prepare.labels(frame, self.world.task))
        order = torch.Generator().manual_seed(seed)
        steps = -(-len(labels) // self.world.batch)
        optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=self.world.weight_decay)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs * steps)
        net.train()
        for _ in range(epochs):
            for i in torch.split(torch.randperm(len(labels), generator=order), self.world.batch):
                loss = _loss(net(*(part[i] for part in inputs)), labels[i], kind)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                optimizer.step()
                cycle.step()
        return net.eval(), time.process_time() - began, float(epochs * len(labels))

    def peer(self, made: tuple[nn.Module, float, float]) -> Result:
        net, cpu_s, passes = made
        return Result(self.answers(net), cpu_s, passes, training_s=cpu_s)

    def labels(self, name: str) -> NDArray[np.int64]:
        return prepare.labels(self.world.tests[name], self.world.task).astype(np.int64)


def _loss(out: torch.Tensor, labels: torch.Tensor, kind: TaskKind) -> torch.Tensor:
    if kind is TaskKind.BINARY:
        return functional.binary_cross_entropy_with_logits(out[:, 0], labels.float())
    if kind is TaskKind.REGRESSION:
        return functional.mse_loss(out[:, 0], labels.float())
    return functional.cross_entropy(out, labels.long())


Score = Callable[[NDArray[np.float32], NDArray[np.int64]], float]


@dataclass
class Chain:
    """What a row of updates came to: scores on the window after each, and the cost of all."""

    line: Line
    score: Score
    scores: list[float] = field(default_factory=list)
    flips: list[float] = field(default_factory=list)
    strategies: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    passes: float = 0.0

    def add(
        self, before: nn.Module, now: nn.Module, after: pl.DataFrame, cpu_s: float, passes: float
    ) -> None:
        """Score a version, and the one before it, on the window after."""
        labels = prepare.labels(after, self.line.world.task).astype(np.int64)
        was, answers = (self.line.answer(net, after) for net in (before, now))
        lost = (was.argmax(1) == labels) & (answers.argmax(1) != labels)
        self.flips.append(100 * float(lost.mean()))
        self.scores.append(100 * self.score(answers, labels))
        self.cpu_s += cpu_s
        self.passes += passes


def chain(
    line: Line, windows: Sequence[pl.DataFrame], strategy: str, score: Score, **how: object
) -> Chain:
    """Update on each window but the last, and score each version on the window after.

    A sixth of each window is for validation. `keep` and `auto` behave as in the product.
    """
    champion, net, made = line.champion, line.net, Chain(line, score)
    for fresh, after in pairwise(windows):
        valid = fresh.gather_every(6)
        rest = fresh.with_row_index("_").filter(pl.col("_") % 6 != 0).drop("_")
        plan_made, trained, cpu_s = line.update(
            strategy,
            champion=champion,
            fresh=rest,
            valid=valid,
            **how,  # type: ignore[arg-type]
        )
        before = net
        if trained is not None:
            net = line.network(trained.weights)
            champion = replace(
                champion,
                weights=trained.weights,
                train=trained.train,
                replay=trained.replay,
                replay_logits=trained.replay_logits,
                recipe=trained.recipe,
                holdout=(line.take(valid, "holdout"),),
            )
        made.add(before, net, after, cpu_s, trained.passes if trained else 0.0)
        made.strategies.append(plan_made.strategy)
    return made


def retrained(line: Line, windows: Sequence[pl.DataFrame], score: Score) -> Chain:
    """Retrain from scratch on everything seen so far, at each window: what most teams do."""
    made, seen, net = Chain(line, score), [line.world.old], line.net
    for number, (fresh, after) in enumerate(pairwise(windows)):
        seen.append(fresh)
        before = net
        net, *cost = line.retrain(pl.concat(seen), line.seed + 100 + number)
        made.add(before, net, after, *cost)
    return made


def fine_tuned(line: Line, windows: Sequence[pl.DataFrame], score: Score) -> Chain:
    """Go on from the last version on the fresh window alone: the other thing teams do."""
    made, net = Chain(line, score), line.net
    for number, (fresh, after) in enumerate(pairwise(windows)):
        before = net
        net, *cost = line.fine_tune(fresh, line.seed + number, before)
        made.add(before, net, after, *cost)
    return made


def chains(
    runs: Mapping[str, Sequence[Chain]], score: str, against: str
) -> dict[str, dict[str, list[float]]]:
    """Print what each way came to over all windows: means and deviations over seeds."""
    figures = {}
    titles = (score, "last 5", "flips", "CPU s", "CPU %", "passes %")
    print(f"{'':28}" + "".join(f"{title:>14}" for title in titles))
    base = runs[against]
    for name, made in runs.items():
        values = {
            score: [statistics.fmean(c.scores) for c in made],
            "last 5": [statistics.fmean(c.scores[-5:]) for c in made],
            "flips": [statistics.fmean(c.flips) for c in made],
            "CPU s": [c.cpu_s for c in made],
            "CPU %": [100 * c.cpu_s / b.cpu_s for c, b in zip(made, base, strict=True)],
            "passes %": [100 * c.passes / b.passes for c, b in zip(made, base, strict=True)],
        }
        figures[name] = values
        cells = [f"{statistics.fmean(v):.2f}±{statistics.pstdev(v):.2f}" for v in values.values()]
        took = Counter(s for c in made for s in c.strategies if s != name)
        note = ", ".join(f"{s} {n}x" for s, n in took.most_common())
        print(f"{name:28}" + "".join(f"{cell:>14}" for cell in cells) + f"  {note}", flush=True)
    return figures


def accuracy(test: str, line: Line, result: Result) -> float:
    """Share of right answers, in per cent."""
    return 100 * float((result.scores[test].argmax(1) == line.labels(test)).mean())


def flips(test: str, line: Line, result: Result) -> float:
    """Share of rows that the champion had right and the successor has wrong, in per cent."""
    labels = line.labels(test)
    before = line.before[test].argmax(1) == labels
    return 100 * float((before & (result.scores[test].argmax(1) != labels)).mean())


Column = tuple[str, Callable[[Line, Result], float]]


def table(
    runs: Mapping[str, Sequence[tuple[Line, Result]]], columns: Sequence[Column], against: str
) -> dict[str, dict[str, list[float]]]:
    """Print means and deviations over seeds; cost in per cent of the run named `against`."""
    base = runs[against]
    figures: dict[str, dict[str, list[float]]] = {}
    names = [name for name, _ in columns]
    costs = ("passes %", "training CPU %", "CPU %", "CPU s")
    print(f"{'':28}" + "".join(f"{name:>15}" for name in [*names, *costs]))
    for name, results in runs.items():
        values = {title: [of(*each) for each in results] for title, of in columns}
        values["passes %"] = [
            100 * r.passes / b.passes for (_, r), (_, b) in zip(results, base, strict=True)
        ]
        for title, part in (("training CPU %", "training_s"), ("CPU %", "cpu_s")):
            values[title] = [
                100 * getattr(r, part) / b.cpu_s
                for (_, r), (_, b) in zip(results, base, strict=True)
            ]
        values["CPU s"] = [r.cpu_s for _, r in results]
        figures[name] = values
        cells = [
            f"{statistics.fmean(v):.1f}±{statistics.pstdev(v):.1f}"
            for k, v in values.items()
            if k != "CPU s"
        ]
        cells.append(f"{statistics.fmean(values['CPU s']):.2f}")
        chosen = {r.strategy for _, r in results} - {"", name}
        note = f"  {', '.join(sorted(chosen))}" if chosen else ""
        print(f"{name:28}" + "".join(f"{cell:>15}" for cell in cells) + note, flush=True)
    return figures


def finish(figures: Mapping[str, Mapping[str, Sequence[float]]], **goals: bool) -> None:
    """Print the goals and, as the last line, one JSON object."""
    for goal, met in goals.items():
        print(f"{'met' if met else 'MISSED'}: {goal.replace('_', ' ')}")
    rounded = {
        name: {k: [round(x, 4) for x in v] for k, v in row.items()} for name, row in figures.items()
    }
    print(json.dumps({"figures": rounded, "goals": goals}))
    sys.stdout.flush()
