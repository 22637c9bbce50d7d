"""A light model beside a heavy one, in the same workers."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.serving import cases
from benchmarks.serving.cases import VERSION
from benchmarks.serving.figures import OTHER, Figure, Given, instar
from benchmarks.serving.load import ask, asking, told

HEAVY = f"/v2/models/m/versions/{OTHER}/infer"


def beside(given: Given) -> Iterator[Figure]:
    """Ask a light model, 8 connections, while two ask one of EfficientNet-Lite0's size."""
    light, heavy = cases.case("mlp"), cases.case("heavy")
    seconds = 2 * given.seconds
    with instar({VERSION: "mlp", OTHER: "heavy"}, given.workers, warm=True) as house:
        ask(house.url, light, 8, 1.0)
        alone = ask(house.url, light, 8, seconds)
        with asking(house.url, heavy, 2, seconds + 2, path=HEAVY) as process:
            mixed = ask(house.url, light, 8, seconds)
            other = told(process)
    yield Figure("light alone, p99", alone.p99_ms, "ms", note=f"{alone.rate:,.0f} a second")
    note = f"{mixed.rate:,.0f} a second, heavy {other.rate:,.0f}"
    yield Figure("light beside heavy, p99", mixed.p99_ms, "ms", most=15, note=note)
    yield Figure("failed requests", mixed.failed + other.failed, "", most=0)
