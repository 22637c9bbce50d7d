from __future__ import annotations

import dataclasses

import pytest

from instar.core.records import Forecast, Outcome
from instar.stages.plan.past import corrected, finding, ratio

FORECAST = Forecast("warm", 0.02, 0.01, 0.04, 100.0, 10.0, money=1.0, source="probe")


def outcome(gain=0.02, cpu_s=10.0, regret=0.0):
    return Outcome("u", FORECAST, gain, 0.01, 0.04, cpu_s, regret)


def test_forecast_without_a_past_stands():
    assert corrected(FORECAST, ()) is FORECAST
    assert finding(()) is None


@pytest.mark.parametrize("count", [1, 4, 20])
def test_forecast_moves_towards_what_was_measured_the_more_the_longer_the_past(count):
    got = corrected(FORECAST, [outcome(gain=0.01, cpu_s=20.0)] * count)
    share = count / (count + 2)  # of the evidence beside a prior of two updates
    assert got.gain == pytest.approx(0.02 * (1 - share / 2))
    assert got.cpu_s == pytest.approx(10 * (1 + share))
    assert got.money == pytest.approx(1 + share)
    assert got.flips == pytest.approx(0.04)
    assert f"{count} past updates" in got.source


def test_correction_is_bounded():
    wild = [outcome(gain=-1.0, cpu_s=1e6)] * 20
    got = corrected(FORECAST, wild)
    assert got.gain == pytest.approx(0.02 / 3)
    assert got.cpu_s == pytest.approx(30)


def test_correction_shrinks_the_error_of_biased_forecasts():
    """Forecasts that are twice too high: after ten updates the next one is nearly right."""
    past = [
        dataclasses.replace(
            outcome(gain=0.5 * gain), forecast=dataclasses.replace(FORECAST, gain=gain)
        )
        for gain in (0.01, 0.03, 0.02, 0.05, 0.01, 0.04, 0.02, 0.03, 0.01, 0.02)
    ]
    assert corrected(FORECAST, past).gain == pytest.approx(0.0117, abs=5e-4)
    assert ratio([(0.0, 0.5)]) == 1.0


def test_finding_tells_forecast_real_gain_and_regret():
    found = finding([outcome(gain=0.01, regret=0.005), outcome(gain=0.03)])
    assert "gained 2.00 points" in found.message
    assert found.measured == pytest.approx(0.0025)
    assert not found.enforced
