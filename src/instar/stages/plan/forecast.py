"""What each strategy would bring and cost, extrapolated from the probe and a few timed steps."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TypeAlias

import torch

from instar.core.policy import PlanPolicy
from instar.core.records import Forecast
from instar.models.recipes import Recipe
from instar.models.strategies import STRATEGIES, Case, Route
from instar.models.tasks import lesson_of
from instar.stages.plan.evidence import Evidence
from instar.stages.plan.probe import Probe

_WARM_UP, _TIMED = 1, 3  # steps
_SIZES = (32, 256)  # rows a step

Pace: TypeAlias = Callable[[Recipe], float]
"""How many CPU seconds a step by a recipe takes."""


def forecasts(
    evidence: Evidence,
    probe: Probe | None,
    case: Case,
    names: Sequence[str],
    policy: PlanPolicy,
) -> tuple[Forecast, ...]:
    """Forecast the named strategies.

    Args:
        probe: None where there was none: gains are then unknown and given as 0.
        case: The champion's recipe, and training rows.
    """
    pace = paced(evidence)
    return tuple(_one(name, pace, probe, case, policy) for name in names)


def _one(name: str, pace: Pace, probe: Probe | None, case: Case, policy: PlanPolicy) -> Forecast:
    strategy = STRATEGIES[name]
    if strategy.route is None:
        return Forecast(name, 0.0, 0.0, 0.0, 0.0, 0.0, source="nothing changes")
    route = strategy.route(case)
    cpu_s = _seconds(pace, route, case)
    gain, forgetting, flips = (0.0, 0.0, 0.0)
    source = "cost from timed steps; no probe, so no gain is forecast"
    reach = getattr(probe, strategy.usual.of) if probe else None
    if reach is not None and math.isfinite(reach.gain.value):
        usual = strategy.usual.expected(case)
        sure = max(0.0, reach.gain.interval.low)  # what reads no label has to prove itself
        gained = sure if strategy.usual.of == "statistics" else reach.gain.value
        seen = (gained, reach.forgetting, reach.flips)
        gain, forgetting, flips = (share * value for share, value in zip(usual, seen, strict=True))
        gain = min(gain, 1.0)  # no metric gains more: not one up to 1, nor a share of an error
        source = (
            f"probe of the {strategy.usual.of} on {reach.gain.n:,} rows x usual shares; cost from "
            "timed steps"
        )
    return Forecast(
        strategy=name,
        gain=gain,
        forgetting=forgetting,
        flips=flips,
        passes=float(route.passes(case) * route.trainings(case) * route.networks(case)),
        cpu_s=cpu_s,
        money=cpu_s / 3600 * policy.cost_per_cpu_hour,
        source=source,
    )


def _seconds(pace: Pace, route: Route, case: Case) -> float:
    """Say what a route costs, CPU seconds; answering a row is a third of learning from it.

    The pace is that of the champion: where it is an ensemble, a step goes through all of it.
    """
    times = route.trainings(case) * route.networks(case) / case.networks
    step = pace(route.recipe) * times
    if route.fit == "steps":
        return step * route.recipe.steps(route.rows(case))
    rows = route.recipe.batch * (1 + route.recipe.replay_ratio)
    return step * route.passes(case) / rows


def paced(evidence: Evidence) -> Pace:
    """Time steps of a small and of a large batch; a step costs a fixed part and one per row."""
    small, large = (step_seconds(evidence, rows) for rows in _SIZES)
    a_row = max(0.0, (large - small) / (_SIZES[1] - _SIZES[0]))
    fixed = max(0.0, small - a_row * _SIZES[0])
    return lambda way: fixed + a_row * way.batch * (1 + way.replay_ratio)


def step_seconds(evidence: Evidence, size: int) -> float:
    """Time one training step of the champion's network on `size` rows, CPU seconds, on a copy."""
    net = deepcopy(evidence.net).train()
    places = torch.tensor(list(itertools.islice(itertools.cycle(range(len(evidence.fresh))), size)))
    lesson, inputs = lesson_of(evidence.task), evidence.fresh.inputs
    truth = lesson.labels(evidence.fresh.labels[places.numpy()])
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    took = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(_WARM_UP + _TIMED):
            began = time.process_time()
            loss = net(*lesson.asked([p[places] for p in inputs], truth)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            took.append(time.process_time() - began)
    return statistics.median(took[_WARM_UP:])
