from __future__ import annotations

import pytest

from instar.core.policy import TrainPolicy
from instar.stages.train.strategies import STRATEGIES
from instar.stages.train.strategies.route import Case

CASE = Case({"lr": 0.01, "batch": 64, "epochs": 12}, fresh=4_000, old=40_000)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_strategies_let_the_policy_win(name):
    policy = TrainPolicy(lr=0.5, batch=33, epochs=7, full_epochs=7)
    recipe = STRATEGIES[name](CASE, policy).recipe
    assert (recipe.lr, recipe.batch, recipe.epochs) == (0.5, 33, 7)


def test_full_starts_anew_and_the_others_go_on():
    routes = {name: strategy(CASE, TrainPolicy()) for name, strategy in STRATEGIES.items()}
    assert [name for name, route in routes.items() if route.scratch] == ["full"]
    assert routes["incremental"].methods == ("replay", "distill", "interpolate")
    assert (routes["hybrid"].top, routes["hybrid"].below) == (2, 0.1)
    cheap = routes["incremental"].recipe.passes(CASE.fresh)
    assert cheap < 0.2 * routes["full"].recipe.passes(CASE.fresh + CASE.old)
