from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.core.errors import InstarError
from instar.core.finding import Comparison, Verdict
from instar.core.policy import StepRule
from instar.stages.release import gates
from instar.stages.release.gates import ALPHA, GATES
from instar.stages.release.gates.tripwire import Rate, trip
from instar.testing.traffic import Behaviour

Make = Callable[..., Any]
OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"


def test_every_gate_has_a_file_and_every_file_a_gate() -> None:
    files = {path.stem for path in Path(gates.__file__).parent.glob("*.py")}
    assert files - {"__init__", "tripwire", "side_by_side"} == set(GATES)


def test_gates_share_alpha_and_no_more() -> None:
    assert sum(ALPHA.values()) == pytest.approx(1.0)
    assert set(ALPHA) <= set(GATES)


def test_tripwire_waits_above_the_limit_until_there_is_proof() -> None:
    calm = Rate(0, 1_000)
    assert trip(Rate(1, 100), calm, 0.02, 0.005, 50) is Verdict.PASS
    assert trip(Rate(4, 100), calm, 0.02, 0.005, 50) is Verdict.INCONCLUSIVE
    assert trip(Rate(20, 100), calm, 0.02, 0.005, 50) is Verdict.FAIL


def test_tripwire_does_not_trip_before_its_minimum() -> None:
    assert trip(Rate(49, 49), Rate(0, 0), 0.02, 0.005, 50) is Verdict.PASS
    assert trip(Rate(50, 50), Rate(0, 0), 0.02, 0.005, 50) is Verdict.FAIL


def test_tripwire_spares_a_candidate_whose_champion_is_as_bad() -> None:
    assert trip(Rate(20, 100), Rate(200, 1_000), 0.02, 0.005, 50) is Verdict.INCONCLUSIVE


def find(record: Any, code: str) -> Any:
    return next(f for f in record.findings if f.code == code)


def test_quality_asks_for_the_labels_that_a_decision_needs(stage: Make) -> None:
    scene = stage(steps=(StepRule(share=0.5, requests=0, labels=10),), quality_margin=0.01)
    scene.tick()
    scene.traffic.serve(100)
    found = find(scene.tick(), "quality")
    assert found.answer is Comparison.CANNOT_TELL
    assert found.labels_needed > 100
    assert found.interval.low < found.measured < found.interval.high


def test_quality_is_not_worse_with_enough_labels(stage: Make) -> None:
    policy = {"steps": (StepRule(share=0.5, requests=10**6, labels=100),), "quality_margin": 0.1}
    scene = stage(**policy)
    scene.tick()
    scene.traffic.serve(3_000)
    found = find(scene.tick(), "quality")
    assert (found.verdict, found.answer) == (Verdict.PASS, Comparison.NOT_WORSE)


def test_quality_is_better_when_candidate_knows_more(stage: Make) -> None:
    scene = stage(new=Behaviour(noise=0.0), old=Behaviour(noise=0.6))
    scene.tick()
    scene.traffic.serve(8_000)
    found = find(scene.tick(), "quality")
    assert found.answer is Comparison.BETTER
    assert found.measured > 0


def test_quality_holds_a_loss_beyond_the_margin_until_it_is_decided(stage: Make) -> None:
    scene = stage(
        new=Behaviour(noise=0.6),
        steps=(StepRule(share=0.5, requests=0, labels=20),),
        quality_margin=0.0,
        seed=1,
    )
    scene.tick()
    scene.traffic.serve(80)
    found = find(scene.tick(), "quality")
    assert found.measured < 0
    assert (found.verdict, found.enforced) == (Verdict.INCONCLUSIVE, True)


def test_quality_is_only_reported_where_no_step_asks_for_labels(stage: Make) -> None:
    scene = stage(steps=(StepRule(share=0.5, requests=10**6),))
    scene.tick()
    scene.traffic.serve(50)
    assert not find(scene.tick(), "quality").enforced


def test_score_shift_is_reported_and_stops_nothing(stage: Make) -> None:
    scene = stage(new=Behaviour(noise=2.0), steps=(StepRule(share=0.5, requests=200),))
    scene.tick()
    scene.traffic.serve(1_000, labels=False)
    found = find(scene.tick(), "score_shift")
    assert (found.verdict, found.enforced) == (Verdict.PASS, False)
    assert "PSI" in found.message
    assert scene.last.step == 1
    assert sum(found.picture["fresh"]) == pytest.approx(1.0, abs=1e-3)
    assert len(found.picture["bins"]) == len(found.picture["old"])


class Bold:
    """Say what the fake says, and a little more: every score is 0.2 higher, 1 at most."""

    def __init__(self, traffic: Any) -> None:
        self._served = traffic.served

    def __call__(self, since_generation: int = 0) -> Any:
        found = dict(self._served(since_generation))
        if NEW in found:
            moved = tuple(replace(s, scores=self._higher(s.scores)) for s in found[NEW].stretches)
            found[NEW] = replace(found[NEW], stretches=moved)
        return found

    def _higher(self, scores: tuple[int, ...]) -> tuple[int, ...]:
        return (*(0,) * 4, *scores[:15], sum(scores[15:]))


@pytest.mark.parametrize(("limit", "phase"), [(0.05, "rolled_back"), (0.5, "promoting")])
def test_score_shift_beyond_the_limit_is_proven_and_rolls_back(
    stage: Make, limit: float, phase: str
) -> None:
    scene = stage(steps=(StepRule(share=0.5, requests=3_000),), score_shift=limit)
    scene.tick()
    scene.traffic.served = Bold(scene.traffic)
    scene.traffic.serve(8_000, labels=False)
    now = scene.tick()
    found = find(now, "score_shift")
    assert now.phase.value == phase
    assert found.interval.low < found.measured < found.interval.high
    assert found.enforced


def test_slow_ends_a_release_whose_p99_is_within_the_limit(stage: Make) -> None:
    slower = Behaviour(slow=0.008)  # the fake's slow answers take 1,000 ms
    scene = stage(new=slower, steps=(StepRule(share=0.5, requests=10**6),), slow_ms=500)
    now = scene.run(each=500)
    assert now.phase.value == "rolled_back"
    assert find(now, "latency").verdict is Verdict.PASS
    assert find(now, "slow").answer is Comparison.WORSE


def test_slow_spares_a_candidate_that_is_as_slow_as_the_champion(stage: Make) -> None:
    slower = Behaviour(slow=0.008)
    scene = stage(new=slower, old=slower, steps=(StepRule(share=0.5, requests=10**6),))
    assert scene.run(each=4_000, ticks=5, labels=False).phase.value == "step"
    assert find(scene.last, "slow").verdict is Verdict.PASS


def test_split_that_is_not_as_planned_holds_and_promotes_nothing(stage: Make) -> None:
    scene = stage(steps=(StepRule(share=0.5, requests=100),))
    scene.tick()
    scene.traffic.skew = 0.1
    scene.traffic.serve(8_000)
    now = scene.tick()
    assert (now.phase.value, now.step, now.verdict) == ("step", 1, Verdict.ERROR)
    found = find(now, "split")
    assert (found.verdict, found.measured < found.limit) == (Verdict.ERROR, True)


def test_version_without_a_share_that_is_asked_is_an_error(stage: Make) -> None:
    scene = stage(steps=(StepRule(share=1.0, requests=10),))
    scene.tick()
    scene.traffic.serve(100)
    assert find(scene.tick(), "split").verdict is Verdict.PASS
    assert scene.last.phase.value == "promoting"
    scene = stage(steps=(StepRule(share=1.0, requests=1_000),))
    scene.tick()
    route = scene.traffic.route()
    scene.traffic._serve(OLD, 3, replace(route, shares={OLD: 0.0}), labels=False)
    scene.traffic.serve(2_000)
    found = find(scene.tick(), "split")
    assert (found.verdict, scene.last.phase.value) == (Verdict.ERROR, "step")
    assert f"{OLD} is asked and has no share" in found.message


@pytest.mark.parametrize("what", ["outside", "empty"])
def test_odd_answers_trip_unless_the_champion_gives_them_too(stage: Make, what: str) -> None:
    odd = Behaviour(**{what: 0.4})
    scene = stage(new=odd)
    scene.tick()
    scene.traffic.serve(2_000)
    now = scene.tick()
    assert (now.phase.value, find(now, what).verdict) == ("rolled_back", Verdict.FAIL)
    scene = stage(new=odd, old=odd)
    scene.tick()
    scene.traffic.serve(2_000)
    assert find(scene.tick(), what).verdict is Verdict.PASS


def test_window_shows_the_metric_of_the_last_answers_and_decides_nothing(stage: Make) -> None:
    scene = stage(new=Behaviour(noise=0.0), steps=(StepRule(share=0.5, requests=10**6),), window=50)
    scene.tick()
    assert find(scene.tick(), "window").verdict is Verdict.INCONCLUSIVE
    scene.traffic.serve(2_000)
    found = find(scene.tick(), "window")
    assert (found.n, found.enforced, found.unit) == (50, False, "accuracy")
    rows = scene.traffic.labelled(NEW)
    last = list(zip(rows.scores, rows.labels, strict=True))[-50:]
    assert found.measured == sum((score[1] > score[0]) == bool(label) for score, label in last) / 50


def test_window_of_an_unknown_or_unfit_metric_is_refused_before_anything_moves(stage: Make) -> None:
    for name in ("acuracy", "mse"):
        scene = stage(window_metric=name)
        with pytest.raises(InstarError):
            scene.tick()
        assert len(scene.traffic.moves) == 1


def test_failures_end_a_release_long_before_the_limit_is_reached(stage: Make) -> None:
    scene = stage(new=Behaviour(errors=0.06), old=Behaviour(errors=0.01), errors=0.5)
    now = scene.run(each=200)
    assert now.phase.value == "rolled_back"
    assert now.reason.startswith("failures: ")
    assert find(now, "failures").answer is Comparison.WORSE


def test_failures_compares_only_what_served_at_the_same_time(stage: Make) -> None:
    scene = stage(new=Behaviour(errors=0.10), old=Behaviour(errors=0.10), errors=0.5)
    scene.traffic.serve(50_000)  # the champion's past does not count
    scene.tick()
    scene.traffic.serve(5_000)
    found = find(scene.tick(), "failures")
    assert found.verdict is Verdict.PASS
    assert found.limit == pytest.approx(0.10, abs=0.02)


def test_policy_alpha_is_what_the_plan_spends(stage: Make) -> None:
    scene = stage(alpha=0.02)
    plan = scene.tick().plan
    assert sum(plan.gates.values()) == pytest.approx(0.02)
    assert plan.gates["quality"] == pytest.approx(0.02 * ALPHA["quality"])


def test_candidate_that_ends_a_process_goes_home_at_the_first(stage: Make) -> None:
    scene = stage(new=Behaviour(crashes=1))
    scene.tick()
    scene.traffic.serve(20)
    now = scene.tick()
    assert now.phase.value == "rolled_back"
    assert now.reason.startswith("crashes: 1 processes")


def test_complaints_are_reported_and_stop_nothing(stage: Make) -> None:
    scene = stage(new=Behaviour(reports=7), old=Behaviour(reports=2))
    scene.tick()
    scene.traffic.serve(1_000)
    found = find(scene.tick(), "reports")
    assert (found.verdict, found.enforced) == (Verdict.PASS, False)
    assert found.message.startswith("7 complaints")
    assert "2 about" in found.message
