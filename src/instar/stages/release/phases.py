"""The state machine of a release: a table, and one pure function over it.

pending ──> shadow ──> step ──> promoting ──> promoted      (pending ──> step without a shadow)
              │       │  ▲
              ▼       ▼  │
               paused ──> aborting ──> rolled back      (from shadow, step and pending too)
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from instar.core.finding import Finding, Verdict, worst
from instar.core.records import Phase

ENDED = (Phase.PROMOTED, Phase.ROLLED_BACK)


class Action(enum.Enum):
    """What is done to the traffic."""

    HOLD = "hold"
    BEGIN = "begin"
    ADVANCE = "advance"
    FINISH = "finish"
    ROLL_BACK = "roll back"
    SHADOW = "shadow"


TABLE: Mapping[tuple[Phase, Verdict], tuple[Phase, Action]] = {
    (Phase.PENDING, Verdict.PASS): (Phase.STEP, Action.BEGIN),
    (Phase.PENDING, Verdict.FAIL): (Phase.ABORTING, Action.ROLL_BACK),
    (Phase.PENDING, Verdict.INCONCLUSIVE): (Phase.PENDING, Action.HOLD),
    (Phase.PENDING, Verdict.ERROR): (Phase.PENDING, Action.HOLD),
    (Phase.SHADOW, Verdict.PASS): (Phase.STEP, Action.ADVANCE),
    (Phase.SHADOW, Verdict.FAIL): (Phase.ABORTING, Action.ROLL_BACK),
    (Phase.SHADOW, Verdict.INCONCLUSIVE): (Phase.SHADOW, Action.HOLD),
    (Phase.SHADOW, Verdict.ERROR): (Phase.SHADOW, Action.HOLD),
    (Phase.STEP, Verdict.PASS): (Phase.STEP, Action.ADVANCE),
    (Phase.STEP, Verdict.FAIL): (Phase.ABORTING, Action.ROLL_BACK),
    (Phase.STEP, Verdict.INCONCLUSIVE): (Phase.STEP, Action.HOLD),
    (Phase.STEP, Verdict.ERROR): (Phase.STEP, Action.HOLD),
    # Gates keep running while a person is awaited: they may still settle it, either way.
    (Phase.PAUSED, Verdict.PASS): (Phase.STEP, Action.ADVANCE),
    (Phase.PAUSED, Verdict.FAIL): (Phase.ABORTING, Action.ROLL_BACK),
    (Phase.PAUSED, Verdict.INCONCLUSIVE): (Phase.PAUSED, Action.HOLD),
    (Phase.PAUSED, Verdict.ERROR): (Phase.PAUSED, Action.HOLD),
    (Phase.PROMOTING, Verdict.PASS): (Phase.PROMOTED, Action.FINISH),
    # The promotion is in the ledger by now: from here only a person's rollback leads back.
    (Phase.PROMOTING, Verdict.FAIL): (Phase.PROMOTING, Action.HOLD),
    (Phase.PROMOTING, Verdict.INCONCLUSIVE): (Phase.PROMOTING, Action.HOLD),
    (Phase.PROMOTING, Verdict.ERROR): (Phase.PROMOTING, Action.HOLD),
    # Whatever is measured on the way home, the way home is taken.
    (Phase.ABORTING, Verdict.PASS): (Phase.ABORTING, Action.ROLL_BACK),
    (Phase.ABORTING, Verdict.FAIL): (Phase.ABORTING, Action.ROLL_BACK),
    (Phase.ABORTING, Verdict.INCONCLUSIVE): (Phase.ABORTING, Action.ROLL_BACK),
    (Phase.ABORTING, Verdict.ERROR): (Phase.ABORTING, Action.ROLL_BACK),
}
"""(phase, verdict) -> (phase, action). An aborting release has rolled back once its action has."""


def decide(
    phase: Phase,
    verdict: Verdict,
    *,
    last_step: bool = False,
    overdue: bool = False,
    shadow: bool = False,
) -> tuple[Phase, Action]:
    """Say what follows from a phase and a verdict.

    The last step leads to promoting without moving traffic: the promotion is recorded first. A
    step that has been undecided for too long waits for a person; time never makes it pass.
    `shadow` tells whether the candidate is compared in the shadow before its first step.

    Example:
        >>> decide(Phase.STEP, Verdict.FAIL)
        (<Phase.ABORTING: 'aborting'>, <Action.ROLL_BACK: 'roll back'>)
        >>> decide(Phase.STEP, Verdict.INCONCLUSIVE, overdue=True)
        (<Phase.PAUSED: 'paused'>, <Action.HOLD: 'hold'>)
    """
    then, action = TABLE[phase, verdict]
    if action is Action.BEGIN and shadow:
        return Phase.SHADOW, Action.SHADOW
    if then is Phase.STEP and last_step and verdict is Verdict.PASS:
        return Phase.PROMOTING, Action.HOLD if action is Action.ADVANCE else action
    if then in (Phase.SHADOW, Phase.STEP) and action is Action.HOLD and overdue:
        return Phase.PAUSED, action
    return then, action


def judge(findings: Iterable[Finding]) -> Verdict:
    """Sum up what the gates said; one that failed outweighs one that could not measure.

    Elsewhere an error is the worst. Here traffic is moving: a gate that has proof of harm need
    not wait for another one that is blind.
    """
    findings = tuple(findings)
    failed = any(finding.enforced and finding.verdict is Verdict.FAIL for finding in findings)
    return Verdict.FAIL if failed else worst(findings)
