"""Settings to try: the strategy's usual space, Optuna's words for it, and back into a training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
import torch

from instar.core.errors import PolicyError
from instar.core.policy import TrainPolicy
from instar.core.records import Network
from instar.core.space import NETWORK, Range, Value
from instar.models import build
from instar.stages.train import losses
from instar.stages.train.attempt import Attempt, Given
from instar.stages.train.methods.average import DECAY
from instar.stages.train.methods.discriminate import BELOW
from instar.stages.train.methods.distill import WEIGHT as DISTILL
from instar.stages.train.methods.ewc import WEIGHT as EWC
from instar.stages.train.methods.focal import WEIGHT as FOCAL
from instar.stages.train.methods.freeze import TOP
from instar.stages.train.methods.interpolate_blind import SHARE
from instar.stages.train.methods.l2sp import WEIGHT as L2SP
from instar.stages.train.methods.logits import WEIGHT as LOGITS
from instar.stages.train.methods.low_rank import RANK
from instar.stages.train.methods.lwf import WEIGHT as LWF
from instar.stages.train.optimizers import OPTIMIZERS
from instar.stages.train.schedules import SCHEDULES

_METHODS: Mapping[str, float | int] = {
    "average": DECAY,
    "below": BELOW,
    "distill": DISTILL,
    "ewc": EWC,
    "focal": FOCAL,
    "l2sp": L2SP,
    "logits": LOGITS,
    "lwf": LWF,
    "rank": RANK,
    "share": SHARE,
    "top": TOP,
}
"""What the methods take where neither policy nor strategy says."""


class FixedArchitecture(PolicyError):
    """Refuse to search for a network where the champion's weights go on."""

    code = "policy.fixed_architecture"

    def __init__(self, strategy: str, option: str) -> None:
        wanted = f"a strategy that trains new weights, to try {option}"
        todo = "set plan.strategy: full, or take the option out of policy.train.tune.space"
        super().__init__(wanted, f"{strategy}, which goes on from the champion", todo)


def usual(own: Attempt, *, listed: bool) -> dict[str, Range]:
    """Give the space of a strategy around its own settings; `listed` for a grid.

    The rate counts most, and what goes with it: Bengio 2012, "Practical Recommendations for
    Gradient-Based Training of Deep Architectures", section 3.
    """
    recipe = own.route.recipe
    space = {
        "lr": _around(recipe.lr, 4.0, listed=listed),
        "weight_decay": _around(1e-4, 100.0, listed=listed),
    }
    if recipe.batch:
        near = (recipe.batch // 2 or 1, recipe.batch, 2 * recipe.batch)
        space["batch"] = Range(choices=tuple(dict.fromkeys(near)))
    if "distill" in own.route.methods:
        space["distill"] = _around(DISTILL, 4.0, listed=listed)
    return space


def _around(middle: float, times: float, *, listed: bool) -> Range:
    if listed:
        return Range(choices=(middle / times, middle, middle * times))
    return Range(low=middle / times, high=middle * times, log=True)


def check(space: Mapping[str, Range], own: Attempt, given: Given, strategy: str) -> None:
    """Refuse what no trial could be made of, before the first one.

    Raises:
        FixedArchitecture: an option of the network, and a strategy that keeps the champion's.
        UnknownName, WrongOption, ...: a choice that does not exist.
    """
    task, request = given.request.task, given.request
    for name, one in space.items():
        if name.startswith(NETWORK):
            if own.route.start != "anew":
                raise FixedArchitecture(strategy, name)
            for value in one.choices or (_number(one.low, one), _number(one.high, one)):
                with torch.random.fork_rng(devices=[]):
                    inputs = own.start.preprocessing.spec(task)
                    build.build(
                        network(request.network, {name: value}), inputs, given.tools.project
                    )
        for value in one.choices:
            match name:
                case "optimizer":
                    OPTIMIZERS[str(value)]
                case "schedule":
                    SCHEDULES[str(value)]
                case "loss":
                    losses.choose(
                        str(value), task.kind, outputs=task.outputs, project=given.tools.project
                    )


def own_settings(space: Mapping[str, Range], own: Attempt, asked: Network) -> dict[str, Value]:
    """Say what the strategy itself would take, setting by setting, where the space holds it."""
    recipe = own.route.recipe
    now: dict[str, Any] = {"lr": recipe.lr, "batch": recipe.batch, "epochs": recipe.epochs}
    for name in space:
        if name.startswith(NETWORK):
            now[name] = asked.options.get(name.removeprefix(NETWORK))
        elif name not in now:
            set_ = getattr(own.policy, name)
            now[name] = _METHODS.get(name) if set_ is None else set_
    return within(space, now)


def within(space: Mapping[str, Range], settings: Mapping[str, Any]) -> dict[str, Value]:
    """Keep the settings that the space holds, as it writes them.

    Example:
        >>> within({"batch": Range(choices=(64, 128)), "lr": Range(low=0.1, high=1)},
        ...        {"batch": 64.0, "lr": 2.0, "clip": 1.0})
        {'batch': 64}
    """
    kept: dict[str, Value] = {}
    for name, one in space.items():
        value = settings.get(name)
        if value is None or value not in one:
            continue
        kept[name] = one.choices[one.choices.index(value)] if one.choices else _number(value, one)
    return kept


def _number(value: Any, one: Range) -> float | int:
    return int(value) if one.whole else float(value)


def suggest(trial: optuna.Trial, space: Mapping[str, Range]) -> dict[str, Value]:
    """Let the sampler choose a value for each setting."""
    chosen: dict[str, Value] = {}
    for name, distribution in distributions(space).items():
        one = space[name]
        if one.choices:
            trial.suggest_categorical(name, labels(one))
            chosen[name] = choice(one, trial.params[name])
        elif isinstance(distribution, optuna.distributions.IntDistribution):
            chosen[name] = trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
        else:
            chosen[name] = trial.suggest_float(name, one.low, one.high, log=one.log)
    return chosen


def distributions(
    space: Mapping[str, Range],
) -> dict[str, optuna.distributions.BaseDistribution]:
    """Write a space as Optuna does."""
    made: dict[str, optuna.distributions.BaseDistribution] = {}
    for name, one in space.items():
        if one.choices:
            made[name] = optuna.distributions.CategoricalDistribution(labels(one))
        elif one.whole:
            low, high = int(one.low), int(one.high)
            made[name] = optuna.distributions.IntDistribution(low, high, log=one.log)
        else:
            made[name] = optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)
    return made


def choice(one: Range, label: Any) -> Value:
    """Find the choice that Optuna knows by its label."""
    return one.choices[labels(one).index(label)]


def labels(one: Range) -> list[float | int | str | bool]:
    """Name choices by plain values: a list becomes its JSON.

    Example:
        >>> labels(Range(choices=(64, [64, 32])))
        [64, '[64, 32]']
    """
    return [json.dumps(value) if isinstance(value, list) else value for value in one.choices]


def named(settings: Mapping[str, Value]) -> dict[str, Any]:
    """Write settings in Optuna's values."""
    return {
        name: json.dumps(value) if isinstance(value, list) else value
        for name, value in settings.items()
    }


def network(asked: Network, settings: Mapping[str, Value]) -> Network:
    """Put the options that a trial tries in the place of the network's own."""
    tried = {
        name.removeprefix(NETWORK): value
        for name, value in settings.items()
        if name.startswith(NETWORK)
    }
    return replace(asked, options={**asked.options, **tried}) if tried else asked


def trained(policy: TrainPolicy, settings: Mapping[str, Value]) -> TrainPolicy:
    """Put the settings that a trial tries in the place of the policy's own."""
    tried: dict[str, Any] = {
        name: value for name, value in settings.items() if not name.startswith(NETWORK)
    }
    return replace(policy, **tried)
