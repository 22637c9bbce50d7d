"""What a person does against an update: withdraw it, or put the champion before back.

Both fence off whoever works on the model line, in the transaction that records them: a worker
that is about to promote or to move traffic is refused, and ends.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from instar.core.codec import encode
from instar.core.crash import crashpoint
from instar.core.records import Release
from instar.core.update import State
from instar.service.errors import NotNow, NoWayBack

if TYPE_CHECKING:
    from instar.core.records import ModelVersion
    from instar.service import Workspace


def abort(space: Workspace, update: str, reason: str) -> bool:
    """Withdraw an open update: the record first, then the traffic, if it has any.

    The record decides against a promotion at the same moment: one of the two is refused.

    Returns:
        Whether there was something to withdraw: an update that has ended stays as it is.
    Raises:
        NotNow: it is promoted.
    """
    from instar.ledger.journal import Overruled

    state = space.state(update)
    if state.state is State.PROMOTED:
        raise NotNow("an open update", update, "promoted", "go back: instar rollback --reason WHY")
    if not state.state.open:
        return False
    model, release = state.request.model, state.get(Release)
    moved: dict[str, Any] = {}
    if release is not None:
        moved = {"phase": release.phase.value, "step": release.step}
        moved |= {"before": dict(release.shares), "after": {state.request.champion: 1.0}}
    try:
        entry = space.journal.append(
            "withdrawn",
            {"reason": reason, **moved},
            update=update,
            model=model,
            actor=space.actor,
            takes_over=True,
            unless="promotion",
        )
    except Overruled as error:
        raise NotNow(
            "an update that can be withdrawn",
            update,
            "promoted",
            "go back: instar rollback --reason WHY",
        ) from error
    if space.state(update).get(Release) is not None:
        crashpoint("abort.traffic")
        _give(space, space.champion(), entry.epoch)
    return True


def rollback(space: Workspace, reason: str) -> dict[str, Any]:
    """Give the champion's predecessor the traffic, then record it, then see that it stayed so.

    Raises:
        NoWayBack: the champion is the first of its line.
        NotNow: a release is under way, which would move the traffic again.
    """
    model = space.project.model
    current, champion = space.journal.champion(model), space.champion()
    if current is None or champion.parent is None:
        raise NoWayBack(champion.name)
    for update in space.update_ids():
        state = space.state(update)
        if state.state is State.RELEASING and not state.promoted:
            raise NotNow(
                "no release under way", update, "releasing", f"first: instar abort {update}"
            )
    earlier = space.version(champion.parent)
    space.settle()
    began = time.monotonic()
    # The epoch that the record is about to take: from here on no worker moves the traffic.
    in_force = _give(space, earlier, 1 + space.journal.epoch(model))
    seconds = time.monotonic() - began
    crashpoint("rollback.traffic")
    entry = space.journal.promote(
        model,
        expect=current.seq,
        kind="rollback",
        body=encode(earlier),
        update=champion.update,
        actor=space.actor,
        epoch=None,
        takes_over=True,
    )
    if space.route().champion != earlier.name:  # a worker was faster than the record
        in_force = _give(space, earlier, entry.epoch)
    space.journal.append(
        "note",
        {"reason": reason, "from": champion.name, "to": earlier.name, "seconds": seconds},
        update=champion.update,
        model=model,
        actor=space.actor,
    )
    return {
        "champion": earlier.name,
        "was": champion.name,
        "seconds": seconds,
        "in_force": in_force,
    }


def _give(space: Workspace, version: ModelVersion, epoch: int | None) -> bool:
    """Give a version all traffic; tell whether a gateway says that it is so."""
    from instar.serving.client import GatewaySilent, GatewayTraffic

    traffic = GatewayTraffic(space.home, space.project.model)
    route = traffic.route()
    home = route.home(version.name, version.bundle.manifest, version.bundle.signature)
    try:
        traffic.move(replace(home, epoch=max(route.epoch, epoch or 0)))
    except GatewaySilent:
        return False
    return True
