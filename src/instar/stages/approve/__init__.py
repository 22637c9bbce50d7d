"""People let the bundle go out, or not.

Nobody approves their own update. A vote binds the digests of validation, bundle and policy, and
grows old; whatever changes afterwards voids it. A finding that cannot tell may be let pass by
several people with reasons; one that failed, or could not be measured, by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from instar.core.finding import Finding, Verdict, worst
from instar.core.policy import ApprovePolicy
from instar.core.records import Approval, Bundle, Request, Validation, Vote, VoteKind
from instar.core.tools import Tools
from instar.stages.approve.votes import HOUR_S, Ballot, ballot, people, voided


def approve(
    request: Request,
    validation: Validation,
    bundle: Bundle,
    votes: tuple[Vote, ...],
    *,
    policy: ApprovePolicy,
    tools: Tools,
) -> Approval:
    """Count the votes on a validated bundle.

    PASS: enough people agree. FAIL: somebody said no, or the validation failed. INCONCLUSIVE:
    somebody is still to be asked; `passes_if` names the command.
    """
    asked = ballot(request, validation, bundle, tools.clock.now(), policy.expires_h * HOUR_S)
    valid = tuple(vote for vote in votes if not asked.objection(vote))
    findings = (
        *_rejected(valid),
        *_gates(validation, bundle),
        *(_override(f, valid, request, policy) for f in _open(validation)),
        _approved(valid, request, policy),
    )
    counted = [vote for vote in valid if vote.kind is not VoteKind.REJECT]
    return Approval(
        verdict=worst(findings),
        findings=(*findings, *voided(votes, asked)),
        votes=votes,
        bundle=asked.bundle,
        validation=asked.validation,
        policy=asked.policy,
        waiting_for=_missing(findings),
        expires_at=_expiry(counted, asked),
    )


def _rejected(valid: Sequence[Vote]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            code="rejected",
            verdict=Verdict.FAIL,
            message=f"{vote.by} rejected it: {vote.reason or 'no reason given'}",
            passes_if="ask for a new update",
        )
        for vote in valid
        if vote.kind is VoteKind.REJECT
    )


def _gates(validation: Validation, bundle: Bundle) -> tuple[Finding, ...]:
    """Hold the validation against what no vote can change."""
    if validation.bundle != bundle.manifest:
        message = "the validation judged another bundle"
        return (Finding("bundle", Verdict.ERROR, message, passes_if="validate this bundle"),)
    verdict = worst(validation.findings)
    if verdict is not validation.verdict:
        message = f"the validation says {validation.verdict.value}, its findings {verdict.value}"
        return (Finding("gates", Verdict.ERROR, message, passes_if="validate it again"),)
    if verdict in (Verdict.FAIL, Verdict.ERROR):
        codes = [f.code for f in validation.findings if f.enforced and f.verdict is verdict]
        message = f"the validation says {verdict.value}: {', '.join(codes) or 'no findings'}"
        return (Finding("gates", verdict, message, passes_if="a new update that passes them"),)
    return (Finding("gates", Verdict.PASS, "no gate of the validation failed"),)


def _open(validation: Validation) -> tuple[Finding, ...]:
    return tuple(
        finding
        for finding in validation.findings
        if finding.enforced and finding.verdict is Verdict.INCONCLUSIVE
    )


def _override(
    finding: Finding, valid: Sequence[Vote], request: Request, policy: ApprovePolicy
) -> Finding:
    seen = people(valid, VoteKind.OVERRIDE, finding.code)
    command = f'instar approve {request.update} --override {finding.code} --by NAME --reason "..."'
    return _tally(f"override:{finding.code}", seen, policy.override_people, request, command)


def _approved(valid: Sequence[Vote], request: Request, policy: ApprovePolicy) -> Finding:
    seen = people(valid, VoteKind.APPROVE)
    command = f"instar approve {request.update} --by NAME"
    return _tally("approvals", seen, policy.people, request, command)


def _tally(code: str, seen: int, needed: int, request: Request, command: str) -> Finding:
    enough = seen >= needed
    return Finding(
        code=code,
        verdict=Verdict.PASS if enough else Verdict.INCONCLUSIVE,
        message=f"{seen} of {needed} people",
        measured=seen,
        limit=needed,
        unit="people",
        passes_if="" if enough else f"{needed - seen} more, none of them {request.by}: `{command}`",
    )


def _missing(findings: Sequence[Finding]) -> int:
    return sum(
        int(f.limit - f.measured)
        for f in findings
        if f.verdict is Verdict.INCONCLUSIVE and f.limit is not None and f.measured is not None
    )


def _expiry(counted: Sequence[Vote], asked: Ballot) -> float | None:
    return min((vote.at + asked.lasts_s for vote in counted), default=None)
