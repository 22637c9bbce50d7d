"""Each reason by itself, and the decision that is made of them all."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import AdmitPolicy, CadencePolicy, Policy
from instar.need import DAY, REASONS, Evidence, Fall, Price, Probed, day, need, reasons

POLICY = Policy(cadence=CadencePolicy(min_days=2.0, max_days=30.0, cost_per_update=1.0))
# 0.2 points a day, known well: with a point worth 1/7 a day an update of 1 pays every 8.4 days.
FALLS = tuple(Fall(f"u{n}", 10.0, 0.02, 0.0005, 0.0) for n in range(4))
CHEAPEST = math.sqrt(2 * 1.0 / (0.2 / 7))


def after(days: float, **more: Any) -> Evidence:
    """What is known so many days after a champion came."""
    return Evidence(
        **{
            "now": days * DAY,
            "champion": "v1",
            "since": 0.0,
            "begun": 0.0,
            "judged": 0.0,
            "metric": "auroc",
            **more,
        }
    )


def find(evidence: Evidence, code: str, policy: Policy = POLICY) -> Finding:
    return next(f for f in need(evidence, policy).findings if f.code == code)


def test_every_file_is_in_the_table() -> None:
    files = {path.stem for path in Path(reasons.__file__).parent.glob("*.py")}
    assert files - {"__init__"} == set(REASONS)


@pytest.mark.parametrize(
    "evidence",
    [
        after(1.0),
        after(40.0),
        after(9.0, falls=FALLS, prices=(Price(0.1, 0.01),), probes=(Probed(900, 300, 0.02),)),
    ],
    ids=["nothing known", "late", "all known"],
)
def test_reason_answers_with_a_finding_of_its_name_and_says_how_to_mend_it(
    evidence: Evidence,
) -> None:
    for name, reason in REASONS.items():
        found = reason(evidence, POLICY).finding
        assert (found.code, bool(found.message)) == (name, True)
        assert found.verdict is not Verdict.FAIL or found.passes_if


def test_calendar_is_the_backstop() -> None:
    early, late = (need(after(days), POLICY) for days in (29.9, 30.0))
    assert (early.due, early.at, late.due, late.at) == (False, 30 * DAY, True, 30 * DAY)
    assert early.reason == f"nothing asks for an update yet; age will on {day(30 * DAY)}"
    assert late.reason == "age: v1 has served for 30.0 days; at the latest after 30"


@pytest.mark.parametrize("days", [8.3, 8.5])
def test_update_is_due_when_the_cheapest_period_has_gone_by(days: float) -> None:
    found, due = need(after(days, falls=FALLS), POLICY), days > CHEAPEST
    assert found.due is due
    assert found.at == pytest.approx(CHEAPEST * DAY)
    cost = find(after(days, falls=FALLS), "cost")
    assert (cost.measured, cost.limit) == (pytest.approx(CHEAPEST), pytest.approx(days))
    assert cost.interval is not None
    assert cost.interval.low < CHEAPEST < cost.interval.high
    assert ("every 8.4 days is cheapest" in found.reason) is due


def test_dear_updates_are_rarer_but_never_beyond_the_calendar() -> None:
    def at(cost: float) -> float | None:
        cadence = replace(POLICY.cadence, cost_per_update=cost)
        return need(after(0.0, falls=FALLS), replace(POLICY, cadence=cadence)).at

    assert at(0.0) == 2 * DAY  # cadence.min_days
    assert at(4.0) == pytest.approx(2 * CHEAPEST * DAY)
    assert at(1e6) == 30 * DAY


def test_drift_asks_at_once_but_not_before_min_days() -> None:
    alert = Finding("live_quality:auroc", Verdict.FAIL, "auroc 0.61", 0.61, 0.67, unit="auroc")
    quiet = Finding("score_drift", Verdict.PASS, "a PSI of 0.01", 0.01, 0.25)
    seen = {"watched": (quiet, alert), "watched_at": 1.0 * DAY}
    soon, later = need(after(1.5, **seen), POLICY), need(after(2.0, **seen), POLICY)
    assert (soon.due, soon.at, later.due) == (False, 2 * DAY, True)
    assert "min_days is 2" in soon.reason
    assert later.reason == "drift: auroc 0.61 (watched 1.0 days ago)"
    found = find(after(2.0, **seen), "drift")
    assert (found.measured, found.limit, found.unit) == (0.61, 0.67, "auroc")
    assert not need(after(2.0, watched=(quiet,), watched_at=1.0), POLICY).due


def test_production_that_nobody_watched_is_not_called_quiet() -> None:
    found = find(after(1.0), "drift")
    assert (found.verdict, found.passes_if) == (Verdict.INCONCLUSIVE, "a look: instar watch")


def test_signal_that_could_not_tell_is_not_called_quiet_either() -> None:
    lacking = Finding(
        "live_quality:auroc", Verdict.INCONCLUSIVE, "9 labels", passes_if="991 more labels"
    )
    complaints = Finding("reports", Verdict.PASS, "0 complaints", enforced=False)
    found = find(after(1.0, watched=(lacking, complaints), watched_at=0.0), "drift")
    assert (found.verdict, found.passes_if) == (Verdict.INCONCLUSIVE, "991 more labels")
    assert "live_quality:auroc: 9 labels" in found.message
    told = replace(lacking, verdict=Verdict.PASS, passes_if="")
    assert find(after(1.0, watched=(told,), watched_at=0.0), "drift").verdict is Verdict.PASS


def test_too_few_looks_leave_it_to_the_calendar_and_say_so() -> None:
    seen = after(9.0, falls=FALLS[:2])
    assert find(seen, "decay").message.startswith("2 looks at how champions aged, too few")
    assert find(seen, "decay").passes_if.startswith("1 more updates")
    assert find(seen, "cost").verdict is Verdict.INCONCLUSIVE
    assert need(seen, POLICY).at == 30 * DAY


def test_loss_that_is_not_proven_leaves_it_to_the_calendar() -> None:
    falls = tuple(Fall("u", 10.0, drop, 0.01, 0.0) for drop in (0.03, -0.02, 0.01))
    seen = after(9.0, falls=falls)
    assert find(seen, "decay").verdict is Verdict.PASS
    assert "no loss is proven" in find(seen, "decay").message
    assert need(seen, POLICY).at == 30 * DAY


def test_decay_is_told_in_points_a_day() -> None:
    found = find(after(9.0, falls=FALLS), "decay")
    assert found.measured == pytest.approx(0.2)
    assert found.interval is not None
    assert found.interval.low < 0.2 < found.interval.high
    assert (found.n, found.unit, found.enforced) == (4, "points a day", False)
    assert "lost 0.2 points of auroc a day" in found.message


def test_open_update_comes_first() -> None:
    found = need(after(99.0, open="u0007"), POLICY)
    assert (found.due, found.at) == (False, None)
    assert found.reason == "u0007 is open: finish it first"


def test_update_that_kept_the_champion_begins_a_period_anew() -> None:
    seen = after(31.0, begun=20 * DAY, judged=20 * DAY)
    found = need(seen, POLICY)
    assert (found.due, found.at) == (False, 50 * DAY)
    assert "31.0 days; 11.0 since it was last judged" in find(seen, "age").message


def test_size_is_where_half_the_interval_is_the_expected_gain() -> None:
    """1,000 rows a probe of 3,072 gave ± 0.03; rows ten days old are 1 point worse in the mean."""
    seen = after(10.0, falls=FALLS, probes=(Probed(3_072, 1_000, 0.03),), rows=3_072)
    found = need(seen, POLICY)
    assert found.rows == math.ceil(3_072 * (0.03 / 0.01) ** 2) == 27_648
    said = find(seen, "size").message
    assert said.startswith("about 27,648 labelled rows; the last update had 3,072")
    later = need(after(20.0, falls=FALLS, probes=seen.probes), POLICY)
    assert later.rows == 27_648 // 4  # twice the loss is seen in a quarter of the rows


def test_size_counts_on_the_age_at_which_the_update_will_be_due() -> None:
    seen = after(1.0, falls=FALLS, probes=(Probed(3_072, 1_000, 0.03),))
    lost = 0.002 * CHEAPEST / 2
    assert need(seen, POLICY).rows == math.ceil(3_072 * (0.03 / lost) ** 2)


def test_size_is_at_least_what_the_gates_need() -> None:
    easy = {"falls": FALLS, "probes": (Probed(3_072, 1_000, 0.0001),)}
    assert need(after(10.0, **easy), POLICY).rows == POLICY.admit.min_rows
    assert need(after(10.0, **easy, wanted=5_000), POLICY).rows == 5_000
    more = replace(POLICY, admit=AdmitPolicy(min_rows=700))
    assert need(after(10.0), more).rows == 700
    assert find(after(10.0), "size").verdict is Verdict.INCONCLUSIVE


@given(
    days=st.floats(0, 200),
    rate=st.floats(-0.01, 0.05),
    error=st.floats(1e-4, 0.05),
    begun=st.floats(0, 1),
    alerts=st.integers(0, 1),
    least=st.floats(0, 10),
    extra=st.floats(0.1, 50),
)
def test_decision_keeps_within_the_calendar_and_agrees_with_its_date(
    days: float,
    rate: float,
    error: float,
    begun: float,
    alerts: int,
    least: float,
    extra: float,
) -> None:
    cadence = CadencePolicy(min_days=least, max_days=least + extra)
    falls = tuple(Fall("u", age, rate * age, error, 0.0) for age in (3.0, 5.0, 9.0, 14.0))
    watched = (Finding("score_drift", Verdict.FAIL, "moved"),) * alerts
    seen = after(days, falls=falls, begun=begun * days * DAY, watched=watched, watched_at=0.0)
    found = need(seen, Policy(cadence=cadence))
    assert found.at is not None
    assert found.due == (found.at <= seen.now)
    assert found.at >= seen.begun + least * DAY - 1e-6
    assert found.at <= max(seen.judged + cadence.max_days * DAY, seen.begun + least * DAY) + 1e-6
    loud = [f for f in found.findings if f.enforced and f.verdict is Verdict.FAIL]
    assert bool(found.reason)
    assert found.due <= bool(loud)
    assert found.rows >= Policy().admit.min_rows


def test_interval_is_of_the_period_and_shrinks_with_what_is_known() -> None:
    def width(error: float) -> float:
        falls = tuple(replace(fall, error=error) for fall in FALLS)
        bounds = find(after(9.0, falls=falls), "cost").interval
        assert isinstance(bounds, Interval)
        return bounds.high - bounds.low

    assert width(0.0002) < width(0.0005) < width(0.001)
