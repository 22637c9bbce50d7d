"""What becomes of an update that is asked for while a release is under way.

The plan of that release says so: it is refused, it waits for the end (`queue`), or the release is
withdrawn in its favour (`replace`). Either way the newcomer's data are read whole first.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from instar import intake
from instar.core.codec import decode, encode
from instar.core.data import Snapshot
from instar.core.digest import in_order
from instar.core.errors import InputError
from instar.core.policy import Policy
from instar.core.records import ModelVersion, Phase, Release
from instar.core.update import State, Update
from instar.data.snapshot import load
from instar.ledger import queue
from instar.ledger.journal import Entry, Overruled
from instar.policy import Project
from instar.serving.client import GatewaySilent, GatewayTraffic
from instar.worker.work import Work


class UpdateRunning(InputError):
    """Refuse a second update of a model line while one is open."""

    code = "update.running"

    def __init__(self, update: str, state: str) -> None:
        super().__init__(
            "no open update of this model",
            f"{update}, which is {state}",
            f"finish it, or withdraw it: instar abort {update} --reason WHY",
        )


class OthersFirst(InputError):
    """Refuse an update while others wait that were asked for before it."""

    code = "update.others_first"

    def __init__(self, waiting: int) -> None:
        super().__init__(
            "an empty queue", f"{waiting} updates that wait", "begin with them: instar resume"
        )


@dataclass(frozen=True, slots=True)
class Berth:
    """The release that is under way, and what its plan says of newcomers."""

    update: str
    state: Update
    rule: str


def berth(work: Work, *, among_queued: bool = False) -> Berth | None:
    """Find the release that a newcomer may queue behind or replace; None where none is open.

    Args:
        among_queued: The newcomer has waited: others that wait are behind it.
    Raises:
        UpdateRunning: an update is open, and it is no release, or one that refuses.
        OthersFirst: none is open, and others wait that were asked for before.
    """
    for name, state in work.updates():
        if not state.state.open:
            continue
        release = state.get(Release)
        rule = release.plan.arrival if release and release.plan else "refuse"
        begun = release is not None and (release.phase.judged or release.phase is Phase.PENDING)
        late = state.promoted or not begun
        if state.state is not State.RELEASING or rule == "refuse" or late:
            raise UpdateRunning(name, state.state.value)
        return Berth(name, state, rule)
    waiting = [] if among_queued else queue.waiting(work.journal, work.project.model)
    if waiting:
        raise OthersFirst(len(waiting))
    return None


def enqueue(work: Work, behind: Berth, fresh: Snapshot, reason: str, seed: int) -> dict[str, Any]:
    """Let an update wait, with its data and the policy of now."""
    body = {
        "reason": reason,
        "by": work.actor,
        "seed": seed,
        "behind": behind.update,
        "fresh": encode(fresh),
        "policy": work.tools.artifacts.put(in_order(encode(work.project.policy))),
    }
    entry = work.journal.append(
        queue.KIND, body, update=None, model=work.project.model, actor=work.actor
    )
    return {"queued": entry.seq, "update": behind.update, "interrupted": ""}


def displace(work: Work, before: Berth, reason: str) -> None:
    """Withdraw a release in favour of a newcomer; its traffic goes home.

    Raises:
        UpdateRunning: it was promoted in this very moment.
    """
    release = before.state.records[Release]
    champion = before.state.request.champion
    why = f"replaced by a newer update: {reason}"
    moved = {"before": dict(release.shares), "after": {champion: 1.0}}
    try:
        entry = work.journal.append(
            "withdrawn",
            {"reason": why, "phase": release.phase.value, "step": release.step, **moved},
            update=before.update,
            model=work.project.model,
            actor=work.actor,
            takes_over=True,
            unless="promotion",
        )
    except Overruled as error:
        raise UpdateRunning(before.update, "promoted") from error
    home = GatewayTraffic(work.home, work.project.model, epoch=entry.epoch)
    bundle = work.champion().bundle
    with contextlib.suppress(GatewaySilent):  # it follows as soon as one runs
        home.move(home.route().home(champion, bundle.manifest, bundle.signature))


@dataclass(frozen=True, slots=True)
class Taken:
    """A queued update, ready to be asked for; `project` holds the policy of its own time."""

    entry: Entry
    asked: intake.Asked
    project: Project
    champion: ModelVersion

    @property
    def body(self) -> Mapping[str, Any]:
        return self.entry.body


def take(work: Work) -> Taken | None:
    """Take the first queued update whose data still fit; those that do not are noted and gone.

    None where none waits, or an update is open.
    """
    if any(state.state.open for _, state in work.updates()):
        return None
    for entry in queue.waiting(work.journal, work.project.model):
        policy = decode(Policy, json.loads(work.tools.artifacts.read(str(entry.body["policy"]))))
        project, champion = replace(work.project, policy=policy), work.champion()
        fresh = decode(Snapshot, entry.body["fresh"])
        try:
            frame = load(fresh, work.tools.artifacts)
            found = intake.ask(project, champion, frame, work.tools, fresh.source)
        except InputError as error:
            _gone(work, entry, str(error))
            continue
        return Taken(entry, found, project, champion)
    return None


def _gone(work: Work, entry: Entry, why: str) -> None:
    work.journal.append(
        "note",
        {"reason": f"the update queued in entry {entry.seq} cannot begin: {why}"},
        update=None,
        model=work.project.model,
        actor=work.actor,
        key=queue.key(entry),
    )


def hand_on(work: Work) -> None:
    """Have a process of its own begin what is queued: whoever ended a release is not kept."""
    if not queue.waiting(work.journal, work.project.model):
        return
    order = {"do": "queued", "root": str(work.root), "by": work.by, "set": {}, "args": {}}
    process = subprocess.Popen(
        [sys.executable, "-m", "instar.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if process.stdin is not None:
        process.stdin.write(json.dumps({**order, "out": os.devnull}).encode())
        process.stdin.close()
    work.tools.progress("queue", note="the next update in the queue begins")
