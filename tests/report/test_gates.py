from __future__ import annotations

from instar.core.finding import Finding, Verdict
from instar.report import gates
from tests.report.stories import rolled_back

CODES = {
    "told": Finding("told", Verdict.FAIL, "", enforced=False),
    "fine": Finding("fine", Verdict.PASS, ""),
    "unsure": Finding("unsure", Verdict.INCONCLUSIVE, ""),
    "failed": Finding("failed", Verdict.FAIL, ""),
    "broken": Finding("broken", Verdict.ERROR, ""),
}


def test_worst_first_puts_what_decides_before_what_is_reported() -> None:
    order = [finding.code for finding in gates.worst_first(CODES.values())]
    assert order == ["broken", "failed", "unsure", "told", "fine"]


def test_raised_and_passed_divide_the_findings() -> None:
    raised = {finding.code for finding in gates.raised(CODES.values())}
    assert raised == CODES.keys() - {"fine"}
    assert [finding.code for finding in gates.passed(CODES.values())] == ["fine"]


def test_overrides_are_those_of_the_finding() -> None:
    votes = rolled_back().votes
    assert [vote.by for vote in gates.overrides(votes, "suspicious_gain")] == ["ben", "cleo"]
    assert gates.overrides(votes, "flips") == []
