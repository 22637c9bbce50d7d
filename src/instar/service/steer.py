"""What a person tells a release that is under way: pause, resume, end the step, promote.

An order is an entry of the ledger. Whoever carries the release heeds it at the next look, with
the evidence of that look; where nobody does, whoever gave it begins to.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from instar.core.codec import encode
from instar.core.errors import InputError, UnknownName
from instar.core.records import PSEUDONYM, Order, OrderKind, Pause, Phase, Release, person
from instar.core.update import State
from instar.service.errors import NotNow, OwnUpdate

if TYPE_CHECKING:
    from instar.core.update import Update
    from instar.service import Workspace
    from instar.service.child import Tell
    from instar.service.outcome import Outcome

_HEARD_S = 5.0  # beyond a tick, for a worker that is at a slow look
_LOOK_S = 0.1


def pause(space: Workspace, update: str, reason: str) -> Outcome:
    """Stop a release where it is: shares stay, gates go on, proof of harm still ends it.

    Raises:
        NotNow: no release of it is under way.
    """
    state, release = _steered(space, update)
    if release.paused is Pause.PERSON and not _waiting(state, release):
        return replace(space.outcome(update), changed=False, message="it is paused already")
    given = _give(space, state, OrderKind.PAUSE, reason)
    return _heard(space, update, given)


def resume(space: Workspace, update: str, reason: str, tell: Tell | None) -> Outcome:
    """Let a paused release go on, and carry one on that nobody carries."""
    state = space.state(update)
    release = state.get(Release)
    halted = (
        release is not None
        and not state.promoted
        and release.phase.judged
        and (release.phase is Phase.PAUSED or _waiting(state, release))
    )
    given = _give(space, state, OrderKind.RESUME, reason) if halted else 0
    return _carried(space, update, given, tell)


def promote(
    space: Workspace,
    update: str,
    reason: str,
    *,
    step: bool,
    lets_pass: Sequence[str],
    tell: Tell | None,
) -> Outcome:
    """End the step of a release, or all that are left, by a person's word.

    Raises:
        NotNow: no release of it is under way.
        UnknownName: a gate to go over is none of this release's.
        OwnUpdate: who asked for the update goes over no gate.
    """
    state, release = _steered(space, update)
    known = release.plan.gates if release.plan else {}
    for name in lets_pass:
        if name not in known:
            raise UnknownName("gate of this release", name, known)
    asked_by = state.request.by
    here = space.actor if asked_by.startswith(PSEUDONYM) else space.by
    if lets_pass and person(here) == person(asked_by):
        raise OwnUpdate(update, space.by)
    kind = OrderKind.SKIP if step else OrderKind.PROMOTE
    given = _give(space, state, kind, reason, lets_pass)
    return _carried(space, update, given, tell)


def _steered(space: Workspace, update: str) -> tuple[Update, Release]:
    state = space.state(update)
    release = state.get(Release)
    if release is None or state.state is not State.RELEASING:
        todo = f"see: instar status {update}"
        raise NotNow("a release that is under way", update, state.state.value, todo)
    if state.promoted or not release.phase.judged:
        todo = f"let it end: instar release {update}"
        raise NotNow(
            "a release in the shadow or in one of its steps", update, release.phase.value, todo
        )
    return state, release


def _waiting(state: Update, release: Release) -> bool:
    """Tell whether an order was given that nobody has heeded."""
    return len(state.orders) > release.orders


def _give(
    space: Workspace, state: Update, kind: OrderKind, reason: str, lets_pass: Sequence[str] = ()
) -> int:
    """Write an order down; return how many there are now."""
    if kind is not OrderKind.RESUME and not reason.strip():
        raise InputError("a reason", "none", "say why: --reason TEXT")
    by = space.actor
    order = Order(kind, by, time.time(), reason, tuple(lets_pass))
    request = state.request
    space.journal.append(
        "order", encode(order), update=request.update, model=request.model, actor=by
    )
    return len(state.orders) + 1


def _carried(space: Workspace, update: str, given: int, tell: Tell | None) -> Outcome:
    """See that somebody carries the release and heeds the order; begin to where nobody does."""
    model = space.project.model
    if space.journal.holder(model, time.time()) and given:
        outcome = _heard(space, update, given)
        if outcome.changed:
            return outcome
    try:
        return space._stands(space._work("release", tell, update=update))  # noqa: SLF001
    except InputError as error:
        if error.code != "input.busy":
            raise
    return _heard(space, update, given)


def _heard(space: Workspace, update: str, given: int) -> Outcome:
    """Wait for whoever carries the release to heed an order; say if nobody did."""
    until = time.monotonic() + _HEARD_S + 2 * space.project.policy.release.tick_s
    while space.journal.holder(space.project.model, time.time()):
        release = space.state(update).get(Release)
        if release and release.orders >= given and release.phase is not Phase.PROMOTING:
            return space.outcome(update)
        if time.monotonic() >= until:
            break
        time.sleep(_LOOK_S)
    return replace(
        space.outcome(update),
        changed=False,
        message="the order is recorded; it is heeded as soon as somebody carries the release on",
        next=f"instar release {update}",
    )
