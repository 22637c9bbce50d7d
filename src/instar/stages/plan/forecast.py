"""What each strategy would bring and cost, extrapolated from the probe and a few timed steps."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch

from instar.core.policy import PlanPolicy
from instar.core.records import Forecast
from instar.models import recipes
from instar.models.recipes import Recipe
from instar.stages.plan.evidence import Evidence
from instar.stages.plan.probe import Probe

_WARM_UP, _TIMED = 2, 5  # steps

SHARES = {
    "incremental": (0.9, 0.3, 0.6),
    "hybrid": (1.0, 0.4, 0.7),
    "full": (1.0, 0.0, 1.1),
}
"""Gain, forgetting and flips in units of the probe's, as measured on Elec2: rounded, and only a
prior. A retrain's gain is the least certain: there it was none, elsewhere it was the largest."""


def forecasts(
    evidence: Evidence,
    probe: Probe | None,
    recipe: Mapping[str, float],
    rows: tuple[int, int],
    names: Sequence[str],
    policy: PlanPolicy,
) -> tuple[Forecast, ...]:
    """Forecast the named strategies.

    Args:
        probe: None where it could not be run: gains are then unknown and given as 0.
        recipe: The champion's.
        rows: Training rows, fresh and old.
    """
    fresh, old = rows
    ways = {
        "incremental": (recipes.incremental(recipe, fresh, old), fresh),
        "hybrid": (recipes.incremental(recipe, fresh, old), fresh),
        "full": (recipes.full(recipe, fresh + old), fresh + old),
    }
    chosen = [(name, *ways[name]) for name in names if name in ways]
    seconds = {way: step_seconds(evidence, way) for _, way, _ in chosen}
    none = Forecast("keep", 0.0, 0.0, 0.0, 0.0, 0.0, source="nothing changes")
    kept = (none,) if "keep" in names else ()
    costs = [(name, way, n, seconds[way] * way.steps(n)) for name, way, n in chosen]
    return (*kept, *(_one(name, probe, way, n, cpu_s, policy) for name, way, n, cpu_s in costs))


def _one(
    name: str, probe: Probe | None, way: Recipe, rows: int, cpu_s: float, policy: PlanPolicy
) -> Forecast:
    gain, forgetting, flips = (0.0, 0.0, 0.0)
    source = "cost from timed steps; no probe, so no gain is forecast"
    if probe is not None:
        shares = SHARES[name]
        gain, forgetting, flips = (
            share * value
            for share, value in zip(
                shares, (probe.gain.value, probe.forgetting, probe.flips), strict=True
            )
        )
        source = f"probe on {probe.gain.n:,} rows x usual shares; cost from timed steps"
    return Forecast(
        strategy=name,
        gain=gain,
        forgetting=forgetting,
        flips=flips,
        passes=float(way.passes(rows)),
        cpu_s=cpu_s,
        money=cpu_s / 3600 * policy.cost_per_cpu_hour,
        source=source,
    )


def step_seconds(evidence: Evidence, way: Recipe) -> float:
    """Time one training step of the champion's network, CPU seconds, on a copy."""
    net = deepcopy(evidence.net).train()
    size = max(2, round(way.batch * (1 + way.replay_ratio)))
    places = torch.tensor(list(itertools.islice(itertools.cycle(range(len(evidence.fresh))), size)))
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    took = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(_WARM_UP + _TIMED):
            began = time.process_time()
            loss = net(*(part[places] for part in evidence.fresh.inputs)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            took.append(time.process_time() - began)
    return statistics.median(took[_WARM_UP:])
