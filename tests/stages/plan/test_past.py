from __future__ import annotations

import dataclasses

import pytest

from instar.core.records import Forecast, Outcome
from instar.stages.plan.past import corrected, finding, history, ratio

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


def test_time_memory_and_gpu_are_corrected_by_records_that_had_them():
    forecast = dataclasses.replace(FORECAST, wall_s=10.0, peak_bytes=1000, gpu_s=4.0)
    real = dataclasses.replace(
        outcome(), forecast=forecast, wall_s=20.0, peak_bytes=1500, gpu_s=4.0
    )
    got = corrected(forecast, [outcome(), real, real])  # the first is from before
    assert got.wall_s == pytest.approx(15.0)
    assert got.peak_bytes == 1250
    assert got.gpu_s == pytest.approx(4.0)


def test_history_is_that_of_the_versions_that_served():
    def judged(score, version):
        return dataclasses.replace(outcome(), score=score, version=version)

    past = [judged(0.7, "v1"), judged(0.9, ""), judged(0.72, "v2"), judged(None, "v3")]
    got = history(past, "auroc")
    assert (
        got.message == "auroc of the last 2 versions when they were judged, oldest first: 0.7, 0.72"
    )
    assert (got.measured, got.n) == (0.72, 2)
    assert got.picture["series"] == [{"name": "auroc", "y": [0.7, 0.72]}]
    assert history(past[1:2], "auroc") is None
    assert history(past, "") is None
