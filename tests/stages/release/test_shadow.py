"""The shadow before the first step: compared, judged by tripwires, and left behind or gone home."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from instar.core.finding import Verdict
from instar.core.policy import ReleasePolicy, ShadowRule, StepRule
from instar.core.records import OrderKind, Pause, Phase
from instar.core.tools import Route
from instar.stages.release import STRATEGIES
from instar.stats.rate_above import rate_above
from instar.testing.traffic import Behaviour

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
Make = Callable[..., Any]
RULE = ShadowRule(share=0.5, requests=200)


def find(record: Any, code: str) -> Any:
    return next(f for f in record.findings if f.code == code)


def test_shadow_comes_before_the_first_step_of_a_canary(stage: Make) -> None:
    scene = stage(shadow=RULE)
    now = scene.tick()
    assert (now.phase, now.step, now.shares) == (Phase.SHADOW, 0, {OLD: 1.0})
    assert now.rehearsed_s == pytest.approx(0.02)
    route = scene.traffic.route()
    assert (route.shadow, route.shares) == ({NEW: 0.5}, {OLD: 1.0})
    assert "compared on 0.5" in now.reason
    now = scene.tick()
    assert (now.phase, now.verdict) == (Phase.SHADOW, Verdict.INCONCLUSIVE)
    assert "200 more requests" in now.reason
    scene.traffic.serve(500)
    now = scene.tick()
    assert (now.phase, now.step, now.shares) == (Phase.STEP, 1, {OLD: 0.9, NEW: 0.1})
    assert scene.traffic.route().shadow == {}
    now = scene.run()
    assert now.phase is Phase.PROMOTED
    assert find(now, "disagreement").n > 200  # what was seen in the shadow stays evidence


def test_pause_in_the_shadow_ends_in_the_shadow(stage: Make) -> None:
    scene = stage(shadow=RULE)
    scene.tick()
    scene.order(OrderKind.PAUSE)
    now = scene.tick()
    assert (now.phase, now.paused) == (Phase.PAUSED, Pause.PERSON)
    scene.traffic.serve(500)  # enough to go on, were it not for the person
    assert scene.tick().phase is Phase.PAUSED
    scene.order(OrderKind.RESUME)
    now = scene.tick()
    assert (now.phase, now.step, now.paused) == (Phase.SHADOW, 0, None)
    now = scene.tick()
    assert (now.phase, now.step) == (Phase.STEP, 1)


def test_strategy_shadow_gives_all_traffic_after_the_shadow_and_still_judges(stage: Make) -> None:
    scene = stage(strategy="shadow", steps=(StepRule(share=0.5, requests=100),))
    now = scene.run(each=300)
    shares = [dict(route.shares) for route in scene.traffic.moves]
    assert [route.shadow for route in scene.traffic.moves if route.shadow] == [{NEW: 0.1}]
    assert {OLD: 0.5, NEW: 0.5} not in shares
    assert (now.phase, now.requests >= 100) == (Phase.PROMOTED, True)
    assert [step.share for step in STRATEGIES["shadow"](ReleasePolicy())] == [1.0]


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (Behaviour(invalid=0.02), "invalid"),
        (Behaviour(errors=0.2), "errors"),
        (Behaviour(slow=0.2), "latency"),
        (Behaviour(crashes=1), "crashes"),
    ],
    ids=["invalid", "errors", "latency", "crashes"],
)
def test_failures_of_a_shadow_trip_and_nobody_was_answered_by_it(
    stage: Make, new: Behaviour, code: str
) -> None:
    scene = stage(new=new, shadow=RULE)
    scene.tick()
    for _ in range(3):
        scene.traffic.serve(100)
        now = scene.tick()
        if now.phase is Phase.ROLLED_BACK:
            break
    assert now.phase is Phase.ROLLED_BACK
    assert code in now.reason
    assert all(route.shares == {OLD: 1.0} for route in scene.traffic.moves)
    assert scene.traffic.route().shadow == {}


def test_disagreement_is_reported_without_a_limit(stage: Make) -> None:
    scene = stage(new=Behaviour(flips=0.4), shadow=RULE)
    scene.tick()
    scene.traffic.serve(1_000)
    now = scene.tick()
    found = find(now, "disagreement")
    assert (now.phase, found.enforced, found.verdict) == (Phase.STEP, False, Verdict.PASS)
    assert found.measured == pytest.approx(0.4, abs=0.08)


@pytest.mark.parametrize(
    ("flips", "n", "verdict", "phase"),
    [
        (0.01, 1_000, Verdict.PASS, Phase.STEP),
        (0.12, 500, Verdict.INCONCLUSIVE, Phase.SHADOW),
        (0.30, 1_000, Verdict.FAIL, Phase.ROLLED_BACK),
    ],
    ids=["within", "above without proof", "above by proof"],
)
def test_disagreement_is_held_against_the_limit_of_the_policy(
    stage: Make, flips: float, n: int, verdict: Verdict, phase: Phase
) -> None:
    rule = ShadowRule(share=0.5, requests=200, flips=0.1)
    scene = stage(new=Behaviour(flips=flips), shadow=rule)
    scene.tick()
    scene.traffic.serve(n)
    now = scene.tick()
    found = find(now, "disagreement")
    assert (found.verdict, found.enforced, now.phase) == (verdict, True, phase)


def test_disagreement_at_its_limit_is_hardly_ever_called_beyond_it() -> None:
    alarms = 0
    for seed in range(200):
        parts = np.random.default_rng(seed).random(2_000) * 0.2  # shares of rows, 0.1 in the mean
        total = np.cumsum(parts)
        looks = range(99, 2_000, 100)
        alarms += any(rate_above(float(total[n]), n + 1, 0.1) >= math.log(1 / 0.05) for n in looks)
    assert alarms <= 10


def test_shadow_that_a_person_ended_ends_the_release(stage: Make) -> None:
    scene = stage(shadow=RULE)
    scene.tick()
    route: Route = scene.traffic.route()
    scene.traffic.move(route.home(OLD, route.manifests[OLD]))
    now = scene.tick()
    assert (now.phase, now.findings[0].code) == (Phase.ROLLED_BACK, "by_hand")


def test_shadow_without_figures_holds_then_asks_a_person_who_is_not_overruled(stage: Make) -> None:
    scene = stage(shadow=RULE, max_hold_s=10.0)
    scene.tick()
    scene.tools.clock.sleep(11.0)
    now = scene.tick()
    assert (now.phase, now.verdict) == (Phase.PAUSED, Verdict.INCONCLUSIVE)
    scene.traffic.silent = True
    assert scene.tick().verdict is Verdict.ERROR
    scene.traffic.silent = False
    scene.traffic.serve(1_000)
    now = scene.tick()
    assert (now.phase, now.step) == (Phase.STEP, 1)


def test_canary_without_a_shadow_asks_for_no_comparison(stage: Make) -> None:
    scene = stage()

    def never(*_: object) -> None:
        raise AssertionError

    scene.traffic.compared = never
    scene.tick()
    scene.traffic.serve(100)
    assert "disagreement" not in {f.code for f in scene.tick().findings}
