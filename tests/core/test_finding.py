from __future__ import annotations

import itertools

import pytest

from instar.core.finding import Finding, Interval, Verdict, worst

ORDER = [Verdict.ERROR, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]


@pytest.mark.parametrize(("one", "other"), list(itertools.product(ORDER, ORDER)))
def test_worst_finding_decides(one: Verdict, other: Verdict) -> None:
    decided = worst([Finding("a", one, ""), Finding("b", other, "")])
    assert decided is ORDER[min(ORDER.index(one), ORDER.index(other))]


def test_no_findings_are_an_error() -> None:
    assert worst([]) is Verdict.ERROR


def test_reported_findings_decide_nothing() -> None:
    reported = Finding("a", Verdict.FAIL, "", enforced=False)
    assert worst([reported, Finding("b", Verdict.PASS, "")]) is Verdict.PASS
    assert worst([reported]) is Verdict.ERROR


def test_interval_contains_its_ends() -> None:
    assert all(value in Interval(0.0, 1.0) for value in (0.0, 0.5, 1.0))
    assert 1.1 not in Interval(0.0, 1.0)
