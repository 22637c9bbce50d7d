from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from instar.core.finding import Verdict
from instar.core.records import Forecast
from instar.core.tools import Machine
from instar.metering import peak_bytes
from instar.stages.plan.resources import has_card, resources


def forecast(peak, gpu_s=0.0):
    return Forecast("warm", 0.1, 0.0, 0.0, 1.0, 2.0, 0.3, "", 2.5, peak, gpu_s)


@pytest.mark.parametrize(("peak", "verdict"), [(700, Verdict.PASS), (900, Verdict.INCONCLUSIVE)])
def test_memory_is_held_against_what_the_policy_lends(peak, verdict):
    (got,) = resources("warm", [forecast(peak * 10**6)], Machine("cpu", 10**9))
    assert got.verdict is verdict
    assert got.measured == pytest.approx(peak / 1000)
    assert (
        f"2.5 s, {peak} MB ({peak / 10:.0f}% of memory that there is), 0.3 in money" in got.message
    )
    assert "GPU" not in got.message
    assert not got.enforced


def test_nothing_is_said_of_keep_or_of_what_was_not_forecast():
    assert not list(resources("keep", [forecast(0)], Machine()))
    assert not list(resources("full", [forecast(10**9)], Machine()))


def test_a_card_counts_where_there_is_one(monkeypatch):
    card = SimpleNamespace(total_memory=10**9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    needed = forecast(peak_bytes() + 9 * 10**8, gpu_s=2.0)
    (got,) = resources("warm", [needed], Machine("auto", 10**12))
    assert got.verdict is Verdict.INCONCLUSIVE
    assert got.measured == pytest.approx(0.9, abs=0.05)
    assert "a GPU for 2 s" in got.message
    assert has_card(Machine("auto"))
    assert not has_card(Machine("cpu"))
