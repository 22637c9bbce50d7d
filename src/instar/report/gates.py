"""Findings in the order in which a reader needs them."""

from __future__ import annotations

from collections.abc import Iterable

from instar.core.finding import Finding, Verdict
from instar.core.records import Vote, VoteKind

_RANK = {Verdict.ERROR: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 2, Verdict.PASS: 3}


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Order findings: what decides before what is only reported, the worst first.

    Example:
        >>> found = [Finding("a", Verdict.PASS, ""), Finding("b", Verdict.FAIL, "")]
        >>> [finding.code for finding in worst_first(found)]
        ['b', 'a']
    """
    return sorted(findings, key=lambda f: (not _stops(f), _RANK[f.verdict]))


def _stops(finding: Finding) -> bool:
    return finding.enforced and finding.verdict is not Verdict.PASS


def raised(findings: Iterable[Finding]) -> list[Finding]:
    """Keep those that did not pass, in reading order."""
    return [f for f in worst_first(findings) if f.verdict is not Verdict.PASS]


def passed(findings: Iterable[Finding]) -> list[Finding]:
    """Keep those that passed, as they were recorded."""
    return [f for f in findings if f.verdict is Verdict.PASS]


def overrides(votes: Iterable[Vote], code: str) -> list[Vote]:
    """Find who let a finding pass."""
    return [vote for vote in votes if vote.kind is VoteKind.OVERRIDE and vote.code == code]
