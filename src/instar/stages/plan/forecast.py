"""What each strategy would bring and cost: from the probe, a few timed steps, what a step keeps."""

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
from instar.metering import peak_bytes
from instar.models.memory import kept
from instar.models.recipes import Recipe
from instar.models.strategies import STRATEGIES, Case, Route
from instar.models.tasks import lesson_of
from instar.stages.plan.evidence import Evidence
from instar.stages.plan.probe import Probe

_WARM_UP, _TIMED = 1, 3  # steps
_SIZES = (32, 256)  # rows a step
_FEW = 8  # rows, from which is known what a step keeps
_TABLE = 3  # a row is held as a table, read and as tensors
_WEIGHTS = 7  # weights, gradients, two moments, the best ones, the champion's and its network's

Pace: TypeAlias = Callable[[Recipe], float]
"""How many CPU seconds a step by a recipe takes."""
Size: TypeAlias = Callable[[Route, Case], int]
"""How many bytes of memory the process takes at once while it trains."""


def forecasts(
    evidence: Evidence,
    probe: Probe | None,
    case: Case,
    names: Sequence[str],
    policy: PlanPolicy,
    *,
    card: bool = False,
) -> tuple[Forecast, ...]:
    """Forecast the named strategies.

    Without earlier updates to go by, a clock is expected to run as long as one core works, and a
    card to be held for as long.

    Args:
        probe: None where there was none: gains are then unknown and given as 0.
        case: The champion's recipe, and training rows.
        card: Whether the training will have a GPU.
    """
    pace, size = paced(evidence), sized(evidence)
    return tuple(_one(name, pace, size, probe, case, policy, card=card) for name in names)


def _one(
    name: str,
    pace: Pace,
    size: Size,
    probe: Probe | None,
    case: Case,
    policy: PlanPolicy,
    *,
    card: bool,
) -> Forecast:
    strategy = STRATEGIES[name]
    if strategy.route is None:
        return Forecast(name, 0.0, 0.0, 0.0, 0.0, 0.0, source="nothing changes")
    route = strategy.route(case)
    cpu_s = _seconds(pace, route, case)
    gpu_s = cpu_s if card else 0.0
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
        money=(cpu_s * policy.cost_per_cpu_hour + gpu_s * policy.cost_per_gpu_hour) / 3600,
        source=source,
        wall_s=cpu_s,
        peak_bytes=size(route, case),
        gpu_s=gpu_s,
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


def sized(evidence: Evidence) -> Size:
    """Find what a row takes, held and in a step, and what there is besides.

    The way back holds as much again as is kept for it.
    """
    seen, net = evidence.fresh, deepcopy(evidence.net).train()
    lesson, few = lesson_of(evidence.task), torch.arange(_FEW) % len(seen)
    some, truth = [part[few] for part in seen.inputs], lesson.labels(seen.labels[few.numpy()])
    with torch.random.fork_rng(devices=[]), kept() as count:
        net(*lesson.asked(some, truth))
    step = 2 * count() / _FEW
    row = sum(part.nbytes for part in (*some, truth)) / _FEW
    weights = sum(parameter.nbytes for parameter in net.parameters())

    def size(route: Route, case: Case) -> int:
        batch = (route.recipe.batch or route.rows(case)) * (1 + route.recipe.replay_ratio)
        held = _TABLE * row * (route.rows(case) + len(evidence.old))
        copies = _WEIGHTS * weights * route.networks(case) / case.networks
        return peak_bytes() + round(held + copies + step * batch)

    return size


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
