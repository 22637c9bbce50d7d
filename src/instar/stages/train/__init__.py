"""Training: from the champion's weights, or from none, to the candidate's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl
import torch
from torch import nn

from instar import provenance
from instar.core.data import Snapshot, TaskKind
from instar.core.errors import PolicyError
from instar.core.finding import Finding, worst
from instar.core.fingerprint import fingerprint
from instar.core.policy import TrainPolicy
from instar.core.records import Admission, Epoch, ModelVersion, Plan, Request, Training
from instar.core.tools import Tools
from instar.metering import metered
from instar.models import predict, weights
from instar.models.strategies import STRATEGIES, Case, Route
from instar.stages.train import course, health, loop, rows, sample
from instar.stages.train.fits import FITS, Fitting
from instar.stages.train.loop import Course, Run, State
from instar.stages.train.methods import ask
from instar.stages.train.methods.part import Part
from instar.stages.train.settle import settle
from instar.stages.train.start import Start, lay


class NothingToTrain(PolicyError):
    """Refuse to train where the plan is to leave the champion as it is."""

    code = "policy.nothing_to_train"

    def __init__(self, strategy: str) -> None:
        super().__init__("a strategy that trains", strategy, "set plan.strategy: auto")


def train(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    plan: Plan,
    *,
    policy: TrainPolicy,
    tools: Tools,
) -> Training:
    """Train the candidate as the plan says.

    The same inputs and seed give the same weights on a CPU, also where a run was cut off and goes
    on from its checkpoint in `tools.scratch`. A training that fails is a finding.

    Raises:
        UnknownName: the plan or the policy names a strategy, loss, ... that does not exist.
        InputError: the network cannot be built, or the champion's weights do not fit it.
    """
    fresh = admission.split.train.rows if admission.split else 0
    old = sum(part.rows for part in champion.train)
    case = Case(
        champion.recipe,
        fresh,
        old,
        image=champion.preprocessing.image is not None,
        classes_added=request.task.outputs - champion.task.outputs,
    )
    route, policy = settle(_route(plan.strategy, case), policy)
    loss = course.loss(request.task, policy, tools)
    with _threads(policy.threads), metered(tools.clock, tools.rates) as used:
        start = lay(
            request, champion, admission, loss=loss, route=route, policy=policy, tools=tools
        )
        parts = [ask(name, start.ground, policy, tools.project) for name in route.methods]
        data = _joined(start, parts)
        way = course.chart(request.task, loss, route, data, parts, policy, tools.seed)
        keeper = course.keeper(request, champion, start, route, policy, tools)
        fitting = Fitting(
            net=start.net,
            rows=data,
            ground=start.ground,
            course=way,
            parts=parts,
            keeper=keeper,
            tell=lambda epoch: _tell(tools, epoch, way.epochs),
        )
        run = FITS[route.fit](fitting)
        findings = health.findings(
            run,
            _loss_on_training_rows(start, run, way),
            constant=health.constant_loss(loss, start.learn.labels, request.task),
            auc=policy.auc if request.task.kind is TaskKind.BINARY else None,
        )
        state, more = _finished(start.net, run, parts)
        replay, replay_logits = _sampled(champion, start, state, policy, tools)
    saved = weights.save(state)
    return Training(
        verdict=worst(findings),
        findings=(*findings, *more),
        weights=tools.artifacts.put(saved),
        preprocessing=start.preprocessing,
        schema=start.schema,
        train=start.train,
        strategy=plan.strategy,
        recipe=_carried(champion, route),
        history=tuple(run.history),
        changes=weights.compare(start.ground.champion, state),
        steps=run.steps,
        passes=run.passes,
        replay=replay,
        replay_logits=replay_logits,
        cost=used(),
        before=fingerprint(tools.artifacts.read(champion.weights)),
        after=fingerprint(saved),
        environment=provenance.environment(tools.project),
    )


def _route(name: str, case: Case) -> Route:
    route = STRATEGIES[name].route
    if route is None:
        raise NothingToTrain(name)
    return route(case)


def _joined(start: Start, parts: Sequence[Part]) -> rows.Rows:
    """Put what is learnt and what is replayed below each other, each with its trust."""
    data, recall = start.learn, max((part.recall for part in parts), default=0.0)
    for part in parts:
        data = part.teach(data) if part.teach else data
    for part in parts:
        if part.rows is not None:
            old = (
                rows.trusting(part.rows, torch.full((len(part.rows),), recall))
                if recall
                else part.rows
            )
            data = rows.join(data, old)
    return data


def _tell(tools: Tools, epoch: Epoch, epochs: int) -> None:
    note = f"loss {epoch.loss:.4f}, validation {epoch.valid_loss:.4f} ({epoch.metric:.4f})"
    tools.progress("train", epoch.epoch, epochs, note)


def _loss_on_training_rows(start: Start, run: Run, way: Course) -> float:
    """Measure the best epoch on as many training rows as there are validation rows."""
    count = min(len(start.learn), len(start.ground.valid))
    some = start.learn.take(torch.linspace(0, len(start.learn) - 1, count).long())
    start.net.load_state_dict(run.best)
    loss, _ = loop.judge(start.net, some, way)
    return loss


def _finished(net: nn.Module, run: Run, parts: Sequence[Part]) -> tuple[State, list[Finding]]:
    state, findings = run.best, []
    for part in parts:
        if part.finish and not run.broken:
            state, finding = part.finish(net, state)
            findings.append(finding)
    return state, findings


def _sampled(
    champion: ModelVersion, start: Start, state: State, policy: TrainPolicy, tools: Tools
) -> tuple[Snapshot, str] | tuple[None, None]:
    """Draw the successor's replay sample, and ask it for its logits there."""
    old = sum(part.rows for part in champion.train)
    wanted = sample.size(old + start.fresh.height, policy)
    if wanted == 0:
        return None, None
    seen: pl.DataFrame = sample.refresh(start.replay, old, start.fresh, wanted, tools.seed)
    start.net.load_state_dict(state)
    own = rows.of(seen, start.preprocessing, start.ground.task)
    logits = predict.logits(start.net, own.inputs)
    return sample.keep(seen, logits, start.schema, start.ground.task.time, tools.artifacts)


def _carried(champion: ModelVersion, route: Route) -> Mapping[str, float]:
    """Hand the recipe on; an update is no measure for the next one, a full training is."""
    own = {"lr": route.recipe.lr, "batch": route.recipe.batch, "epochs": route.recipe.epochs}
    return own if route.start == "anew" else dict(champion.recipe)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
