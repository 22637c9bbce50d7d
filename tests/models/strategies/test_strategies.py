from __future__ import annotations

import pytest

from instar.models import strategies
from instar.models.strategies import STRATEGIES, Case, Need
from instar.testing.contracts.families import family_files, unknown_name

CASE = Case({"lr": 0.01, "batch": 64, "epochs": 12}, fresh=4_000, old=40_000)
TRAINED = [name for name in STRATEGIES if name != "keep"]


def test_every_strategy_file_is_in_the_table():
    family_files(STRATEGIES, strategies)
    unknown_name(STRATEGIES)


@pytest.mark.parametrize("name", TRAINED)
def test_strategy_uses_a_part_of_a_retrains_passes(name):
    full = STRATEGIES["full"].route(CASE).passes(CASE)
    passes = STRATEGIES[name].route(CASE).passes(CASE)
    most = {
        "full": 1.0,
        "transfer": 1.0,
        "warm": 0.25,
        "grow": 0.25,
        "head": 0.02,
        "adapt-stats": 0.01,
    }.get(name, 0.2)
    assert 0 < passes <= most * full
    assert STRATEGIES[name].does


@pytest.mark.parametrize("name", TRAINED)
def test_strategy_reads_old_rows_only_if_it_says_so(name):
    strategy = STRATEGIES[name]
    route = strategy.route(CASE)
    replays = any(method.startswith("replay") for method in route.methods)
    assert (Need.OLD in strategy.needs) == (route.learn == "all")
    if replays and name != "head":
        assert Need.SAMPLE in strategy.needs


def test_keep_has_no_training():
    assert STRATEGIES["keep"].route is None


def test_hybrid_grows_for_new_classes_without_interpolating():
    grown = Case(CASE.recipe, CASE.fresh, CASE.old, classes_added=1)
    assert "interpolate" in STRATEGIES["hybrid"].route(CASE).methods
    assert STRATEGIES["hybrid"].route(grown).methods[0] == "replay_balanced"
    assert "interpolate" not in STRATEGIES["hybrid"].route(grown).methods
