"""Training: from the champion's weights, or from none, to the candidate's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import polars as pl

from instar import provenance
from instar.core.data import Snapshot, Task
from instar.core.errors import PolicyError
from instar.core.finding import Finding, worst
from instar.core.fingerprint import fingerprint
from instar.core.policy import TrainPolicy
from instar.core.records import (
    Admission,
    Epoch,
    ModelVersion,
    Network,
    Plan,
    Request,
    Training,
)
from instar.core.tools import Tools
from instar.data import snapshot
from instar.metering import metered
from instar.models import predict, weights
from instar.models.strategies import STRATEGIES, Case, Route
from instar.models.threads import limited
from instar.models.weights import State
from instar.stages.train import devices, ensembles, growth, health, memory, rows, sample
from instar.stages.train.attempt import Attempt, Ended, Given
from instar.stages.train.ensembles import Made
from instar.stages.train.methods.augment import left_out
from instar.stages.train.start import Start
from instar.stages.train.tuning import BEST, Tuned, tune
from instar.stats.metrics import primary


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
    route = _route(plan.strategy, case)
    device = devices.choose(tools.machine)
    # A full training makes an ensemble's members anew, or none; any other goes on with it whole.
    begun = request.network.alone() if route.start == "anew" else request.network
    with (
        limited(policy.threads),
        metered(tools.clock, tools.rates) as used,
        device.lent(),
    ):
        start_of, notes = champion, []
        if route.grow:
            start_of, note = growth.grown(champion, begun, policy, tools)
            begun, notes = start_of.network, [note]
        if policy.augment.kinds and route.fit != "steps":
            notes.append(left_out(plan.strategy))
        given = Given(replace(request, network=begun), start_of, admission, tools, device)
        tuned = tune(given, route, policy, plan.strategy) if policy.tune.trials else None
        network = tuned.network if tuned and tuned.network else begun
        several, why = _several(given, route, policy, tuned, network, plan.strategy)
        if several is not None:
            attempt, ended, network = several.attempt, several.ended, several.network
        elif tuned and tuned.attempt and tuned.ended:
            attempt, ended = tuned.attempt, tuned.ended
        else:
            attempt, ended = memory.carry(given, route, policy, partial(_tell, tools))
        start, run = attempt.start, ended.run
        findings = _judged(attempt, ended, request.task, policy) if ended.whole else ()
        replay, replay_logits = None, None
        if ended.whole:
            replay, replay_logits = _sampled(champion, start, ended.state, policy, tools)
    saved = weights.save(ended.state)
    return Training(
        verdict=worst(findings or ended.findings),
        findings=(*findings, *ended.findings, *([tuned.finding] if tuned else []), *notes, *why),
        weights=tools.artifacts.put(saved),
        preprocessing=start.preprocessing,
        schema=start.schema,
        train=start.train,
        strategy=plan.strategy,
        recipe={**_carried(champion, attempt.route), **(tuned.recipe if tuned else {})},
        history=tuple(run.history),
        changes=weights.compare(start.ground.champion, ended.state),
        steps=run.steps,
        passes=run.passes * (begun.ensemble.members if begun.ensemble else 1),
        replay=replay,
        replay_logits=replay_logits,
        cost=used(),
        before=fingerprint(tools.artifacts.read(champion.weights)),
        after=fingerprint(saved),
        environment=provenance.environment(tools.project),
        trials=tuned.trials if tuned else (),
        network=network if network != request.network else None,
    )


def _several(
    given: Given,
    route: Route,
    policy: TrainPolicy,
    tuned: Tuned | None,
    network: Network,
    strategy: str,
) -> tuple[Made | None, list[Finding]]:
    """Make one candidate of several trainings, where the policy asks for it, or say why not."""
    if policy.ensemble.kind == "none":
        return None, []
    if why := ensembles.unfit(given, route, policy, strategy):
        return None, [why]
    if tuned and tuned.attempt:  # with the settings that were found
        route, policy = tuned.attempt.route, tuned.attempt.policy
    given = replace(given, request=replace(given.request, network=network))
    made = ensembles.make(given, route, policy)
    return (made, [made.finding]) if isinstance(made, Made) else (None, [made])


def _route(name: str, case: Case) -> Route:
    route = STRATEGIES[name].route
    if route is None:
        raise NothingToTrain(name)
    return route(case)


def _judged(attempt: Attempt, ended: Ended, task: Task, policy: TrainPolicy) -> tuple[Finding, ...]:
    return health.findings(
        ended.run,
        ended.learnt,
        constant=health.constant_loss(attempt.loss, attempt.start.learn.labels, task),
        auc=policy.auc if primary(task.kind) == "auroc" else None,
    )


def _tell(tools: Tools, epoch: Epoch, attempt: Attempt) -> None:
    note = f"loss {epoch.loss:.4f}, validation {epoch.valid_loss:.4f} ({epoch.metric:.4f})"
    tools.progress("train", epoch.epoch, attempt.course.epochs, note)


def _sampled(
    champion: ModelVersion, start: Start, state: State, policy: TrainPolicy, tools: Tools
) -> tuple[Snapshot, str] | tuple[None, None]:
    """Draw the successor's replay sample, and ask it for its logits there."""
    old = sum(part.rows for part in champion.train)
    fresh = start.train[-1]
    wanted = start.reading.most(sample.size(old + fresh.rows, policy))
    if wanted == 0:
        return None, None

    def draw(rows: int, seed: int) -> pl.DataFrame:
        return snapshot.draw((fresh,), tools.artifacts, rows, seed)

    seen = sample.refresh(start.replay, old, fresh.rows, draw, wanted, tools.seed)
    start.net.load_state_dict(state)
    own = rows.of(seen, start.preprocessing, start.ground.task)
    logits = predict.logits(start.net, own.inputs)
    return sample.keep(seen, logits, start.schema, start.ground.task.time, tools.artifacts)


def _carried(champion: ModelVersion, route: Route) -> Mapping[str, float]:
    """Hand the recipe on; an update is no measure for the next one, a full training is."""
    own = {"lr": route.recipe.lr, "batch": route.recipe.batch, "epochs": route.recipe.epochs}
    found = {name: value for name, value in champion.recipe.items() if name.startswith(BEST)}
    return {**found, **own} if route.start == "anew" else dict(champion.recipe)
