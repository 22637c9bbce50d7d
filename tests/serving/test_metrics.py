from __future__ import annotations

import re

import numpy as np
import pytest

from instar.serving.metrics import BOUNDS_MS, Metrics


def test_quantiles_are_right_to_a_fifth() -> None:
    metrics = Metrics()
    times = np.random.default_rng(0).lognormal(0.0, 1.0, 5_000)
    for taken in times:
        metrics.count("v", 1, 1.0, float(taken), "ok")
    found = metrics.served()["v"].latency_ms
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        assert 1.0 <= found[name] / np.quantile(times, q) <= 1.2


@pytest.mark.parametrize("taken", [0.0, 1e-9, 0.01, 1e9])
def test_any_latency_has_a_bucket(taken: float) -> None:
    metrics = Metrics()
    metrics.count("v", 1, 1.0, taken, "ok")
    assert metrics.served()["v"].requests == 1
    assert metrics.served()["v"].histogram[0][0] in BOUNDS_MS


def test_served_counts_since_a_route() -> None:
    metrics = Metrics()
    for generation in (0, 1, 2, 3):
        for _ in range(generation + 1):
            metrics.count("v", generation, 0.1 * generation, 1.0, "error")
    assert metrics.served(2)["v"].requests == 7
    assert [s.failed for s in metrics.served(2)["v"].stretches] == [3, 4]
    assert metrics.served(0)["v"].errors == 10
    assert metrics.served(9) == {}


def test_old_routes_are_added_up_and_none_is_lost() -> None:
    metrics = Metrics()
    for generation in range(1, 301):
        metrics.count("v", generation, 0.5, 1.0, "ok")
    served = metrics.served()["v"]
    assert served.requests == 300
    assert len(served.stretches) <= 65
    assert served.stretches[-1].generation == 300


def test_prometheus_text_is_well_formed_and_adds_up() -> None:
    metrics = Metrics()
    for taken in (0.02, 3.0, 500.0, 1e9):
        metrics.count("v", 1, 1.0, taken, "ok")
    metrics.count("v", 2, 1.0, 1.0, "invalid")
    metrics.miss("v", ['a "quoted"\ncolumn'])
    text = metrics.prometheus("m", {"route_generation": 2.0})
    line = re.compile(
        r'^(# HELP \w+ .+|# TYPE \w+ \w+|\w+(\{(\w+="([^"\\\n]|\\.)*",?)+\})? [0-9.e+-]+)$'
    )
    assert all(line.match(part) for part in text.splitlines())
    assert 'instar_requests_total{model="m",version="v",outcome="ok"} 4' in text
    latency = [part for part in text.splitlines() if "latency_seconds_bucket" in part]
    buckets = [int(part.split()[-1]) for part in latency]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 5
