"""Where an update stands, in words, and which command comes next."""

from __future__ import annotations

from dataclasses import dataclass

from instar.core.finding import Finding, Verdict
from instar.core.records import (
    Approval,
    Bundle,
    Pause,
    Plan,
    Release,
    Validation,
    VoteKind,
)
from instar.core.update import State, Update


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where an update stands after a command, and what comes next.

    `changed` is False where the command had nothing to do, or nobody has done it yet.
    """

    update: str
    state: State
    stage: str
    verdict: Verdict | None
    message: str
    findings: tuple[Finding, ...]
    champion: str
    candidate: str | None
    next: str
    changed: bool = True

    @property
    def exit_code(self) -> int:
        if not self.changed and not self.state.open:
            return 0
        match self.state:
            case State.PROMOTED | State.KEPT:
                return 0
            case State.RUNNING | State.WAITING | State.RELEASING:
                return 3
            case _:
                return 1


def describe(name: str, update: Update) -> Outcome:
    """Say where an update stands."""
    bundle = update.get(Bundle)
    ended = update.withdrawn or update.state is State.REJECTED
    findings = () if ended else tuple(f for f in update.findings if f.enforced)
    return Outcome(
        update=name,
        state=update.state,
        stage=update.stage,
        verdict=update.verdict,
        message=_message(update),
        findings=findings,
        champion=update.request.champion,
        candidate=bundle.version if bundle else None,
        next=_next(name, update),
    )


def validated(update: Update) -> list[Finding]:
    """List the findings of the validation that decide."""
    validation = update.get(Validation)
    return [f for f in validation.findings if f.enforced] if validation else []


def _message(update: Update) -> str:
    if update.withdrawn:
        return f"withdrawn: {update.withdrawn}"
    rejected = [vote for vote in update.votes if vote.kind is VoteKind.REJECT]
    if rejected:
        return f"rejected by {rejected[-1].by}: {rejected[-1].reason}"
    release, plan = update.get(Release), update.get(Plan)
    if update.failure:
        return update.failure
    if release is not None:
        return release.reason
    if update.state is State.KEPT and plan is not None:
        return plan.reason
    if update.state is State.REFUSED and plan is not None and plan.tried:
        before = " and ".join(plan.tried)
        return f"candidates of {before} were refused before this one of {plan.strategy}"
    bad = [f.message for f in update.findings if f.enforced and f.verdict is not Verdict.PASS]
    return "; ".join(bad) or "every gate passed"


def _next(name: str, update: Update) -> str:
    match update.state:
        case State.WAITING:
            approval = update.get(Approval)
            if approval is not None and approval.verdict is Verdict.PASS:
                return f"instar release {name}"
            open_ = [f for f in update.findings if f.enforced and f.verdict is not Verdict.PASS]
            asked = (_vote(name, f.code.removeprefix("override:")) for f in open_)
            return ", and: ".join(asked) or _vote(name, "approvals")
        case State.RELEASING:
            release = update.get(Release)
            return _next_of(name, release.paused if release else None)
        case State.RUNNING:
            return f"instar resume {name}"
        case State.REFUSED | State.FAILED | State.ROLLED_BACK:
            return f"instar report {name}"
        case _:
            return "instar status"


def _vote(name: str, code: str) -> str:
    """Write the command by which a person settles a finding."""
    over = "" if code == "approvals" else f" --override {code}"
    return f"instar approve {name}{over} --by NAME" + (" --reason WHY" if over else "")


def _next_of(name: str, pause: Pause | None) -> str:
    """Say how a release goes on: by whom it waits for, or by whoever carries it."""
    match pause:
        case Pause.PERSON:
            return f"instar resume {name}"
        case Pause.INCONCLUSIVE:
            return f"instar promote {name} --reason WHY, or: instar abort {name} --reason WHY"
        case _:
            return f"instar release {name}"
