"""An update is its ledger entries, replayed; nothing else remembers where it stands."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from instar.core.codec import decode
from instar.core.finding import Finding, Verdict
from instar.core.records import (
    Admission,
    Approval,
    Bundle,
    Order,
    Orders,
    Phase,
    Plan,
    Release,
    Request,
    Rung,
    Training,
    Validation,
    Vote,
    VoteKind,
    Watch,
)

T = TypeVar("T")

KINDS: Mapping[str, type] = {
    "request": Request,
    "admission": Admission,
    "plan": Plan,
    "training": Training,
    "bundle": Bundle,
    "validation": Validation,
    "vote": Vote,
    "approval": Approval,
    "order": Order,
    "release": Release,
    "watch": Watch,
}
"""The kinds of ledger entries that are records of an update, in the order of the journey."""

STAGES = ("admission", "plan", "training", "bundle", "validation", "approval", "release")
"""The records that carry a verdict, in order."""


class Written(Protocol):
    """One ledger entry, as far as replaying needs it."""

    @property
    def kind(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


class State(enum.Enum):
    """Where an update stands. The last seven are ends."""

    RUNNING = "running"
    WAITING = "waiting"
    RELEASING = "releasing"
    REFUSED = "refused"
    KEPT = "kept"
    REJECTED = "rejected"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"

    @property
    def open(self) -> bool:
        return self in (State.RUNNING, State.WAITING, State.RELEASING)


@dataclass(frozen=True, slots=True)
class Update:
    """What the ledger says about one update: the last record of each kind; all votes and orders.

    `failure` and `withdrawn` say why it ended so, where it did. `promoted` says that its
    candidate became champion, `taken_back` that a person put the champion before back. `rungs`
    are plans whose candidates were refused and that others follow: their records are no longer
    among `records`.
    """

    records: Mapping[type, Any]
    votes: tuple[Vote, ...] = ()
    releases: tuple[Release, ...] = ()
    orders: Orders = ()
    failure: str = ""
    withdrawn: str = ""
    promoted: bool = False
    taken_back: bool = False
    kinds: tuple[str, ...] = field(default=())
    rungs: tuple[Rung, ...] = ()

    def get(self, record: type[T]) -> T | None:
        return cast(T | None, self.records.get(record))

    @property
    def request(self) -> Request:
        return cast(Request, self.records[Request])

    @property
    def stage(self) -> str:
        """The kind of the last record that carries a verdict; `request` before the first."""
        seen = [kind for kind in STAGES if KINDS[kind] in self.records]
        return seen[-1] if seen else "request"

    @property
    def verdict(self) -> Verdict | None:
        record = self.records.get(KINDS[self.stage])
        return getattr(record, "verdict", None)

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(getattr(self.records.get(KINDS[self.stage]), "findings", ()))

    @property
    def state(self) -> State:
        if self.withdrawn:
            return State.WITHDRAWN
        if self.failure:
            return State.FAILED
        release, plan = self.get(Release), self.get(Plan)
        if release is not None:
            if self.taken_back:
                return State.ROLLED_BACK
            return _of_release(release, promoted=self.promoted)
        if plan is not None and plan.strategy == "keep":
            return State.KEPT
        if any(vote.kind is VoteKind.REJECT for vote in self.votes):
            return State.REJECTED
        if self.verdict in (Verdict.FAIL, Verdict.ERROR):
            return State.REFUSED
        if self.verdict is Verdict.INCONCLUSIVE:
            return State.WAITING if self.stage in ("validation", "approval") else State.REFUSED
        return State.WAITING if self.stage == "approval" else State.RUNNING


def _of_release(release: Release, *, promoted: bool) -> State:
    if release.phase is Phase.ROLLED_BACK:
        return State.ROLLED_BACK
    if release.phase in (Phase.PROMOTED, Phase.RETIRED) and promoted:
        return State.PROMOTED
    return State.RELEASING


def next_rung(plan: Plan, validation: Validation) -> tuple[Finding, str] | None:
    """Say which finding refused a plan's candidate, and which strategy follows; None where none.

    Where a gate refused that no other training would please (latency, say), none follows.
    """
    if validation.verdict is not Verdict.FAIL:
        return None
    refusals = [f for f in validation.findings if f.enforced and f.verdict is Verdict.FAIL]
    follow = [plan.then.get(f.code.partition(":")[0], ()) for f in refusals]
    return (refusals[0], follow[0][0]) if follow and all(follow) else None


def _climbed(records: dict[type, Any]) -> Rung | None:
    """Take the records of a plan out of the way, where another plan follows it."""
    plan, training, validation = (records.get(kind) for kind in (Plan, Training, Validation))
    if plan is None or training is None or validation is None or not next_rung(plan, validation):
        return None
    for kind in (Plan, Training, Bundle, Validation):
        records.pop(kind, None)
    return Rung(plan, training, validation)


def replay(entries: Iterable[Written]) -> Update:
    """Read an update back from its entries, in ledger order.

    Raises:
        BadRecord: an entry's body is not the record that its kind names.
    Example:
        >>> replay([]).state
        <State.RUNNING: 'running'>
    """
    records: dict[type, Any] = {}
    votes: list[Vote] = []
    releases: list[Release] = []
    orders: list[Order] = []
    seen: list[str] = []
    rungs: list[Rung] = []
    failure = withdrawn = ""
    for entry in entries:
        seen.append(entry.kind)
        if entry.kind in KINDS:
            record: Any = decode(KINDS[entry.kind], entry.body)
            records[KINDS[entry.kind]] = record
            if isinstance(record, Vote):
                votes.append(record)
            if isinstance(record, Order):
                orders.append(record)
            if isinstance(record, Release):
                releases.append(record)
            if isinstance(record, Validation) and (rung := _climbed(records)):
                rungs.append(rung)
        elif entry.kind == "failed":
            failure = str(entry.body["reason"])
        elif entry.kind == "withdrawn":
            withdrawn = str(entry.body["reason"]) or "no reason given"
    return Update(
        records=records,
        votes=tuple(votes),
        releases=tuple(releases),
        orders=tuple(orders),
        failure=failure,
        withdrawn=withdrawn,
        promoted="promotion" in seen,
        taken_back="rollback" in seen,
        kinds=tuple(seen),
        rungs=tuple(rungs),
    )
