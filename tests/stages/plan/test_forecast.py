from __future__ import annotations

import pytest
import torch

from instar.core.data import Task, TaskKind
from instar.core.finding import Interval
from instar.core.policy import PlanPolicy
from instar.core.records import Members
from instar.models.strategies import STRATEGIES, Case
from instar.stages.plan.evidence import Evidence, Seen
from instar.stages.plan.forecast import forecasts, step_seconds
from instar.stages.plan.probe import Probe, Reach
from instar.stats.bootstrap import Estimate

TASK = Task(TaskKind.BINARY, "y", ("no", "yes"))
PROBE = Probe(
    head=Reach(Estimate(0.02, Interval(0.0, 0.04), 0.01, 500), forgetting=0.01, flips=0.01),
    body=Reach(Estimate(0.1, Interval(0.05, 0.15), 0.02, 500), forgetting=0.04, flips=0.02),
)


def evidence(width=64):
    net = torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))
    seen = Seen((torch.randn(50, 4),), torch.zeros(50).numpy())
    return Evidence(TASK, net, seen, seen, None, 0)


def test_forecasts_scale_the_probe_and_price_the_cpu():
    policy = PlanPolicy(cost_per_cpu_hour=3600.0)
    got = {
        f.strategy: f
        for f in forecasts(
            evidence(), PROBE, Case({}, 800, 8000), ("keep", "full", "hybrid", "head"), policy
        )
    }
    assert set(got) == {"keep", "hybrid", "full", "head"}
    assert got["head"].cpu_s < 0.5 * got["hybrid"].cpu_s
    assert got["hybrid"].gain == pytest.approx(0.1 * STRATEGIES["hybrid"].usual.gain)
    assert got["head"].gain == pytest.approx(0.02 * STRATEGIES["head"].usual.gain)
    assert got["hybrid"].flips == pytest.approx(0.02 * STRATEGIES["hybrid"].usual.flips)
    assert got["full"].money == pytest.approx(got["full"].cpu_s)
    assert got["full"].passes == 12 * 8800
    assert "500 rows" in got["full"].source


def test_forecast_gains_no_more_than_there_is():
    sure = Reach(Estimate(0.9, Interval(0.8, 1.0), 0.02, 500), forgetting=0.0, flips=0.0)
    [full] = forecasts(evidence(), Probe(sure, sure), Case({}, 8000, 8000), ("full",), PlanPolicy())
    assert full.gain == 1.0


def test_step_seconds_grow_with_the_work_and_leave_the_network_alone():
    small, large = evidence(8), evidence(2048)
    before = large.net[0].weight.clone()
    assert step_seconds(large, 512) > 2 * step_seconds(small, 512)
    assert torch.equal(large.net[0].weight, before)
    assert large.net[0].weight.grad is None


@pytest.mark.parametrize("gain", [float("nan"), None])
def test_forecasts_say_no_gain_where_the_probe_came_to_nothing(gain):
    broken = Reach(Estimate(float("nan"), Interval(-1, 1), 0.0, 500), 0.0, 0.0)
    probe = None if gain is None else Probe(None, broken)
    (got,) = forecasts(evidence(), probe, Case({}, 800, 8000), ("warm",), PlanPolicy())
    assert (got.gain, got.forgetting, got.flips) == (0, 0, 0)
    assert got.cpu_s > 0
    assert "no gain is forecast" in got.source


def several(names, kind="bagging", networks=1):
    case = Case({}, 800, 8000, ensemble=Members(kind, 5) if kind else None, networks=networks)
    return {f.strategy: f for f in forecasts(evidence(), PROBE, case, names, PlanPolicy())}


def test_forecasts_count_the_passes_of_all_members():
    names = ("warm", "full", "head")
    one, five, soup = (several(names, kind) for kind in ("", "bagging", "greedy_soup"))
    assert five["warm"].passes == soup["warm"].passes == 5 * one["warm"].passes
    assert five["full"].passes == 5 * one["full"].passes
    assert soup["full"].passes == one["full"].passes  # new weights make no soup
    assert five["head"].passes == one["head"].passes  # there is one outcome only
    assert five["warm"].cpu_s > 2 * one["warm"].cpu_s


def test_forecasts_of_an_ensemble_count_the_networks_that_a_row_goes_through():
    one, whole = several(("warm", "full"), ""), several(("warm", "full"), networks=5)
    assert whole["warm"].passes == 5 * one["warm"].passes  # one training of all five together
    assert whole["full"].passes == 5 * one["full"].passes  # five of one each
    assert several(("full",), "", networks=5)["full"].passes == one["full"].passes


def test_memory_grows_with_rows_batch_and_weights():
    def most(width=64, old=8_000, kind="warm"):
        return forecasts(evidence(width), PROBE, Case({}, 800, old), (kind,), PlanPolicy())[0]

    base = most().peak_bytes
    assert most(old=8_000_000).peak_bytes - base > 3 * 8_000_000 * 16  # bytes of four numbers
    assert most(width=200_000).peak_bytes - base > 5 * 200_000 * 4 * 6  # weights and their moments
    assert most(kind="keep").peak_bytes == 0


def test_a_card_is_held_and_paid_for():
    priced = PlanPolicy(cost_per_cpu_hour=0.0, cost_per_gpu_hour=3600.0)
    case = Case({}, 800, 8_000)
    (without,) = forecasts(evidence(), PROBE, case, ("warm",), priced)
    (held,) = forecasts(evidence(), PROBE, case, ("warm",), priced, card=True)
    assert (without.gpu_s, without.money) == (0, 0)
    assert held.gpu_s == held.wall_s == pytest.approx(held.money)
