"""The state machine of a release: a table, and pure functions over it.

pending ──> shadow ──> step 1 .. k ──> promoting ──> promoted ──> retired
              │           │  ▲
              └─────┬─────┘  │
                    ▼        │
                  paused ────┘ (inconclusive, person, no traffic)

From pending, shadow, step and paused: aborting ──> rolled back. What retires the version before,
once its hold is over, is `instar.serving.settle`: no release runs by then.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from instar.core.finding import Finding, Verdict, worst
from instar.core.records import OrderKind, Pause, Phase

ENDED = (Phase.PROMOTED, Phase.RETIRED, Phase.ROLLED_BACK)

State: TypeAlias = Phase | Pause
"""A phase; in the place of PAUSED the reason of the pause, for each has rules of its own."""


class Event(enum.Enum):
    """What a tick found: what the gates say, what time says, or what a person says."""

    PASS = "the gates pass"  # noqa: S105 - a word
    LAST = "the gates pass the last step"
    FAIL = "a gate fails"
    INCONCLUSIVE = "nothing is decided"
    ERROR = "nothing could be measured"
    OVERDUE = "nothing was decided for max_hold_s"
    IDLE = "no request came for max_hold_s"
    BLIND = "nothing could be measured for max_error_s"
    PAUSE = "a person pauses"
    RESUME = "a person resumes"
    SKIP = "a person ends the step"
    PROMOTE = "a person ends all steps"


class Action(enum.Enum):
    """What is done to the traffic."""

    HOLD = "hold"
    BEGIN = "begin"
    ADVANCE = "advance"
    FINISH = "finish"
    ROLL_BACK = "roll back"
    SHADOW = "shadow"


Then: TypeAlias = tuple[State, Action]

_BACK: Then = (Phase.ABORTING, Action.ROLL_BACK)
_NEXT: Then = (Phase.STEP, Action.ADVANCE)
_OVER: Then = (Phase.PROMOTING, Action.HOLD)  # the promotion is recorded before traffic moves
_ON: Then = (Phase.STEP, Action.HOLD)
_DONE: Then = (Phase.PROMOTED, Action.FINISH)


def _row(
    state: State, other: Mapping[Event, Then], rest: Action = Action.HOLD
) -> dict[Event, Then]:
    """Answer every event: those that are not named leave the state as it is."""
    return {event: other.get(event, (state, rest)) for event in Event}


_PROVEN: Mapping[Event, Then] = MappingProxyType({Event.FAIL: _BACK, Event.BLIND: _BACK})
_SETTLED = {**_PROVEN, Event.PASS: _NEXT, Event.LAST: _OVER}
_TOLD = {
    Event.PAUSE: (Pause.PERSON, Action.HOLD),
    Event.RESUME: _ON,
    Event.SKIP: _NEXT,
    Event.PROMOTE: _OVER,
}

TABLE: Mapping[State, Mapping[Event, Then]] = {
    Phase.PENDING: _row(
        Phase.PENDING,
        {
            Event.PASS: (Phase.STEP, Action.BEGIN),
            Event.LAST: (Phase.PROMOTING, Action.BEGIN),
            Event.FAIL: _BACK,
        },
    ),
    Phase.SHADOW: _row(
        Phase.SHADOW,
        {
            **_SETTLED,
            **_TOLD,
            Event.RESUME: (Phase.SHADOW, Action.HOLD),
            Event.OVERDUE: (Pause.INCONCLUSIVE, Action.HOLD),
            Event.IDLE: (Pause.NO_TRAFFIC, Action.HOLD),
        },
    ),
    Phase.STEP: _row(
        Phase.STEP,
        {
            **_SETTLED,
            **_TOLD,
            Event.OVERDUE: (Pause.INCONCLUSIVE, Action.HOLD),
            Event.IDLE: (Pause.NO_TRAFFIC, Action.HOLD),
        },
    ),
    # Gates keep running while a person is awaited: they may still settle it, either way.
    Pause.INCONCLUSIVE: _row(Pause.INCONCLUSIVE, {**_SETTLED, **_TOLD}),
    # It goes on by itself as soon as requests come.
    Pause.NO_TRAFFIC: _row(Pause.NO_TRAFFIC, {**_SETTLED, **_TOLD, Event.OVERDUE: _ON}),
    # What a person stopped only a person lets go on; proof of harm ends it all the same.
    Pause.PERSON: _row(Pause.PERSON, {**_PROVEN, **_TOLD}),
    # The promotion is in the ledger by now: from here only a person's rollback leads back.
    Phase.PROMOTING: _row(
        Phase.PROMOTING,
        dict.fromkeys(
            (Event.PASS, Event.LAST, Event.PAUSE, Event.RESUME, Event.SKIP, Event.PROMOTE), _DONE
        ),
    ),
    # Whatever is measured or said on the way home, the way home is taken.
    Phase.ABORTING: _row(Phase.ABORTING, {}, rest=Action.ROLL_BACK),
}
"""state -> event -> (state, action). An aborting release has rolled back once its action has."""

_ORDERED = {
    OrderKind.PAUSE: Event.PAUSE,
    OrderKind.RESUME: Event.RESUME,
    OrderKind.SKIP: Event.SKIP,
    OrderKind.PROMOTE: Event.PROMOTE,
}


def event(
    verdict: Verdict,
    order: OrderKind | None = None,
    *,
    last_step: bool = False,
    overdue: bool = False,
    idle: bool = False,
    blind: bool = False,
) -> Event:
    """Say what a tick found, where it found several things: harm first, then what people said.

    A step is ended by a person only where it could be measured: an error holds, whoever speaks.

    Example:
        >>> event(Verdict.FAIL, OrderKind.PROMOTE).name, event(Verdict.PASS, last_step=True).name
        ('FAIL', 'LAST')
        >>> event(Verdict.ERROR, OrderKind.PROMOTE).name, event(Verdict.ERROR, blind=True).name
        ('ERROR', 'BLIND')
    """
    if verdict is Verdict.FAIL:
        return Event.FAIL
    if verdict is Verdict.ERROR and blind:
        return Event.BLIND
    if order is not None and heeded(verdict, order):
        said = _ORDERED[order]
        return Event.PROMOTE if said is Event.SKIP and last_step else said
    if verdict is Verdict.PASS:
        return Event.LAST if last_step else Event.PASS
    if overdue:
        return Event.IDLE if idle else Event.OVERDUE
    return Event[verdict.name]


def heeded(verdict: Verdict, order: OrderKind) -> bool:
    """Tell whether an order takes effect under a verdict; one that does not waits."""
    if verdict is Verdict.FAIL:
        return False
    forward = order in (OrderKind.SKIP, OrderKind.PROMOTE)
    return not (forward and verdict is Verdict.ERROR)


def decide(state: State, found: Event, *, shadow: bool = False) -> Then:
    """Say what follows in a state from what a tick found.

    Args:
        shadow: Whether the candidate is compared in the shadow before its first step.

    Example:
        >>> decide(Phase.STEP, Event.FAIL)
        (<Phase.ABORTING: 'aborting'>, <Action.ROLL_BACK: 'roll back'>)
        >>> decide(Pause.PERSON, Event.LAST)
        (<Pause.PERSON: 'person'>, <Action.HOLD: 'hold'>)
    """
    then, action = TABLE[state][found]
    return (Phase.SHADOW, Action.SHADOW) if shadow and action is Action.BEGIN else (then, action)


def judge(
    findings: Iterable[Finding],
    fails: Mapping[str, int] = MappingProxyType({}),
    *,
    fail_after: int = 1,
    lets_pass: Collection[str] = (),
) -> Verdict:
    """Sum up what the gates said; one that failed outweighs one that could not measure.

    Elsewhere an error is the worst. Here traffic is moving: a gate that has proof of harm need
    not wait for another one that is blind.

    Args:
        fails: How often each gate has failed so far, this look included.
        fail_after: The number of failed looks that counts as a failure: n means n.
        lets_pass: Gates whose failure a person goes over.
    Example:
        >>> bad = Finding("errors", Verdict.FAIL, "")
        >>> [judge([bad], {"errors": n}, fail_after=2).value for n in (1, 2)]
        ['inconclusive', 'fail']
    """
    weighed = []
    for finding in findings:
        verdict = finding.verdict
        if verdict is Verdict.FAIL and finding.code in lets_pass:
            verdict = Verdict.PASS
        elif verdict is Verdict.FAIL and fails.get(finding.code, fail_after) < fail_after:
            verdict = Verdict.INCONCLUSIVE
        weighed.append(replace(finding, verdict=verdict))
    failed = any(finding.enforced and finding.verdict is Verdict.FAIL for finding in weighed)
    return Verdict.FAIL if failed else worst(weighed)
