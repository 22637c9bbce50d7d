"""The working side: a process of its own that does one task and reports by JSON lines.

    python -m instar.worker < task.json

The task names what to do and the file to report to: lines with `progress`, and at the end one
with `result` or `error`. The process belongs to its own session, so that closing a terminal
ends the looking and not the work.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from instar import intake, provenance, retrace
from instar.core.codec import decode, encode, filed
from instar.core.digest import digest_json, in_order
from instar.core.errors import BackendError, InputError, InstarError, Interrupted, pathless
from instar.core.finding import Verdict
from instar.core.policy import Policy
from instar.core.records import ModelVersion, Phase, Release, Watch
from instar.core.tools import Machine, Rates
from instar.core.update import Update
from instar.ledger import queue, ready
from instar.ledger.keys import BundleSigner
from instar.ledger.outcomes import outcomes
from instar.ledger.safedir import SafeDir
from instar.ledger.stores import begun
from instar.ledger.versions import made as entry_of
from instar.ledger.versions import version
from instar.ledger.work import work as made_by
from instar.pipeline import ApprovalVoid, NetworkChanged, OutOfMemory, Quarantined, Runner
from instar.policy import Project
from instar.serving import looks, routefile
from instar.serving.client import GatewaySilent, GatewayTraffic
from instar.serving.settle import Gap, settle
from instar.stages.admit import admit
from instar.stages.package import version_name
from instar.stages.plan import plan
from instar.stages.watch import watch
from instar.worker import arrival
from instar.worker.arrival import OthersFirst, UpdateRunning
from instar.worker.label import label
from instar.worker.work import NoChampion, Work

__all__ = ["TASKS", "NoChampion", "OthersFirst", "UpdateRunning", "Work"]

# What ends an update although a machine, not the candidate, is at fault.
FINAL = (Quarantined, OutOfMemory)


class ChampionChanged(InputError):
    """Refuse a request whose champion was replaced while its data were read."""

    code = "update.champion_changed"

    def __init__(self, champion: str) -> None:
        super().__init__(f"{champion} as the champion", "another by now", "ask again")


class AlreadyAdopted(InputError):
    """Refuse a second adoption: the champion changes by updates only."""

    code = "update.already_adopted"

    def __init__(self, model: str, champion: str) -> None:
        super().__init__(
            "a model line without a champion",
            f"{model}, whose champion is {champion}",
            "bring a successor: instar update DATA",
        )


class OwnCode(InputError):
    """Report an error that arose in the project's own code; the update has ended."""

    code = "update.own_code"

    def __init__(self, update: str, place: str, reason: str) -> None:
        super().__init__(
            f"code that answers ({place})", reason, f"mend it, then ask again; see {update}"
        )


class StageFailed(BackendError):
    """Report a stage that broke; the champion is untouched and the update has ended."""

    code = "update.stage_failed"

    def __init__(self, update: str, reason: str) -> None:
        super().__init__("a stage that ends with a record", reason, f"see: instar status {update}")


def adopt(
    work: Work,
    *,
    weights: str,
    train: str,
    holdout: str,
    preprocessing: str | None,
    seed: int,
    signature: str | None = None,
    keys: Sequence[str] = (),
) -> dict[str, Any]:
    """Take a model over as the first champion.

    A second call finishes a first one that died between the ledger and the traffic.
    """
    if begun(work.home, work.project.store) and work.journal.champion(work.project.model):
        if (there := work.champion()).parent is None and routefile.read(work.home) is None:
            settled(work)
            return taken_over(there)
        raise AlreadyAdopted(work.project.model, there.name)
    made = intake.adopt(
        work.project,
        replace(work.tools, seed=seed, signer=BundleSigner(work.home)),
        weights=Path(weights),
        train=train,
        holdout=holdout,
        preprocessing=Path(preprocessing) if preprocessing else None,
        version=version_name(work.tools.clock.now(), ()),
        signature=Path(signature) if signature else None,
        keys=[Path(key) for key in keys],
    )
    body = filed(made)
    given = {"weights": made.weights, "train": made.train[0].digest}
    with work.lease() as epoch:
        work.journal.promote(
            work.project.model,
            expect=None,
            kind="adoption",
            body=body,
            update=None,
            actor=work.actor,
            epoch=epoch,
            work=made_by(
                "adopt",
                body,
                owner=work.actor,
                inputs={**given, "holdout": made.holdout[0].digest},
                policy=work.project.digest,
                code=provenance.code(),
            ),
        )
    settled(work)
    return taken_over(made)


def taken_over(made: ModelVersion) -> dict[str, Any]:
    """Say which model was adopted."""
    return {"champion": made.name, "metrics": dict(made.metrics), "rows": made.train[0].rows}


def settled(work: Work) -> Gap | None:
    """Bring traffic to where the ledger says; a gateway follows as soon as it runs."""
    found = settle(work.home, work.project.model, work.journal, work.tools.clock.boot())
    if found:
        work.tools.progress("traffic", note=f"{found.problem}: {found.todo}")
    return found


def gateway(work: Work, epoch: int | None = None) -> GatewayTraffic:
    """Reach the gateway of this workspace; to move its traffic takes the epoch of a lease."""
    return GatewayTraffic(work.home, work.project.model, epoch=epoch)


def asked(work: Work, source: str, seed: int) -> tuple[Any, ModelVersion, Work]:
    """Read fresh data for a task that leaves no trace in the ledger."""
    champion = work.champion()
    found = intake.ask(work.project, champion, source, work.tools, Path(source).name)
    request = intake.request(
        found, work.project, champion, update="none", reason="", by=work.by, policy="", seed=seed
    )
    return request, champion, work


def check(work: Work, *, source: str, seed: int) -> dict[str, Any]:
    """Hold fresh data against the data gate; nothing is recorded."""
    request, champion, _ = asked(work, source, seed)
    policy = work.project.policy
    return {"admission": encode(admit(request, champion, policy=policy.admit, tools=work.tools))}


def look_ahead(work: Work, *, source: str, seed: int) -> dict[str, Any]:
    """Admit fresh data and plan an update; nothing is recorded."""
    request, champion, _ = asked(work, source, seed)
    policy = work.project.policy
    admission = admit(request, champion, policy=policy.admit, tools=work.tools)
    if admission.verdict is not Verdict.PASS:
        return {"admission": encode(admission), "plan": None}
    past = outcomes(work.journal, request)
    made = plan(request, champion, admission, past, (), policy=policy.plan, tools=work.tools)
    return {"admission": encode(admission), "plan": encode(made)}


def update(work: Work, *, source: str, reason: str, seed: int) -> dict[str, Any]:
    """Ask for an update and carry it as far as verdicts and people allow.

    While a release is under way, its plan says what becomes of another update: see `arrival`.

    Raises:
        UpdateRunning: an update is open, and no other may come beside it.
    """
    champion = work.champion()
    berth = arrival.berth(work)
    settled(work)
    if work.tools.signer:
        _ = work.tools.signer.public  # a key that does not open is told before hours of training
    weights = max((file.size for file in champion.bundle.files), default=0)
    ready.room(work.home, ready.estimate(_bytes(source), weights))
    found = intake.ask(work.project, champion, source, work.tools, Path(source).name)
    if berth and berth.rule == "queue":
        return arrival.enqueue(work, berth, found.fresh, reason, seed)
    if berth:
        arrival.displace(work, berth, reason)
    return _ask(work, work.project, champion, found, reason=reason, seed=seed, by=work.actor)


def begin_queued(work: Work) -> dict[str, Any]:
    """Ask for the update that has waited longest for a release to end; none is no mistake."""
    settled(work)
    taken = arrival.take(work)
    if taken is None:
        return {"update": None, "interrupted": ""}
    body = taken.body
    return _ask(
        work,
        taken.project,
        taken.champion,
        taken.asked,
        reason=str(body["reason"]),
        seed=int(body["seed"]),
        by=str(body["by"]),
        key=queue.key(taken.entry),
    )


def _ask(
    work: Work,
    project: Project,
    champion: ModelVersion,
    found: intake.Asked,
    *,
    reason: str,
    seed: int,
    by: str,
    key: str | None = None,
) -> dict[str, Any]:
    """Write the request down, as soon as nobody else works on the model line, and carry it."""
    with work.lease() as epoch:
        if arrival.berth(work, among_queued=key is not None) or work.champion() != champion:
            raise ChampionChanged(champion.name)  # reading takes its time, and others did not wait
        number = 1 + len(work.journal.entries(model=project.model, kind="request"))
        name = f"u{number:04}"
        policy = work.tools.artifacts.put(in_order(encode(project.policy)))
        request = intake.request(
            found,
            project,
            champion,
            update=name,
            reason=reason,
            by=by,
            policy=policy,
            seed=seed,
            environment=provenance.environment(work.root),
        )
        body = filed(request)
        known = entry_of(work.journal, request.model, champion.name)
        work.journal.append(
            "request",
            body,
            update=name,
            model=request.model,
            actor=by,
            key=key,
            epoch=epoch,
            work=made_by(
                "request",
                body,
                owner=by,
                inputs={"champion": digest_json(known.body), "fresh": found.fresh.digest},
                policy=policy,
                code=provenance.code(),
            ),
        )
        carry(work, name, epoch, until="approve")
    return {"update": name, "interrupted": work.interrupted}


def _bytes(source: str) -> int:
    """Add up what lies under a name: a file, a folder, or a pattern's files; 0 where nothing."""
    path = Path(source)
    anchor = Path(path.anchor)
    there = [path] if path.exists() else anchor.glob(str(path.relative_to(anchor)))
    within = (found for one in there for found in (one.rglob("*") if one.is_dir() else [one]))
    return sum(found.stat().st_size for found in within if found.is_file())


def resume(work: Work, *, update: str) -> dict[str, Any]:
    """Go on with an update after people have spoken, or after a crash."""
    settled(work)
    with work.lease() as epoch:
        carry(work, update, epoch, until="approve")
    return {"update": update, "interrupted": work.interrupted}


def release(work: Work, *, update: str) -> dict[str, Any]:
    """Hand traffic over to an approved candidate, watching every step."""
    settled(work)
    gateway(work).status()  # a release begins only where somebody can see it
    with work.lease() as epoch:
        routefile.claim(work.home, epoch)  # whoever released before and sleeps moves nothing now
        state = carry(work, update, epoch, until="release")
    last = state.get(Release)
    if last is not None and last.phase is Phase.PROMOTED:
        made = version(work.journal, work.project.model, state.request.champion)
        work.tools.progress("release", 1, 1, f"{made.name} stays warm")
    if not state.state.open:
        arrival.hand_on(work)
    return {"update": update, "interrupted": work.interrupted}


def look(work: Work) -> dict[str, Any]:
    """Judge production by the labels that have come."""
    champion = work.champion()
    settled(work)
    seen = gateway(work)
    seen.status()
    tools = replace(work.tools, traffic=seen)
    last = work.journal.last("watch", model=work.project.model)
    before = decode(Watch, last.body) if last else None
    found = watch(champion, before, policy=work.project.policy.watch, tools=tools)
    work.journal.append(
        "watch",
        encode(found),
        update=champion.update,
        model=work.project.model,
        actor=work.actor,
    )
    return {"watch": encode(found)}


def reproduce(work: Work, *, update: str) -> dict[str, Any]:
    """Run an update again, and hold what comes out against the record."""
    return retrace.reproduce(work.journal, update, work.tools, by=work.actor)


def export_log(work: Work, *, output: str, unlabelled: bool, answers: bool) -> dict[str, Any]:
    """Write the predictions that the gateway kept; see `instar.worker.export`."""
    from instar.worker.export import export  # alone asks for pyarrow

    return export(work, output=output, unlabelled=unlabelled, answers=answers)


def changes(work: Work, *, before: str, after: str) -> dict[str, Any]:
    """Measure how far the weights of two versions are apart, tensor by tensor."""
    return {"changes": encode(retrace.changes(work.tools.artifacts, before, after))}


def version_names(work: Work) -> Iterator[str]:
    """Name every version that this model line ever packaged."""
    for kind, field in (("adoption", "name"), ("bundle", "version")):
        for entry in work.journal.entries(model=work.project.model, kind=kind):
            yield str(entry.body[field])


def rates(policy: Policy) -> Rates:
    """Take from a policy what work on this machine costs."""
    return Rates(
        cpu_hour=policy.plan.cost_per_cpu_hour,
        gpu_hour=policy.plan.cost_per_gpu_hour,
        watts_per_core=policy.run.watts_per_core,
    )


def carry(work: Work, name: str, epoch: int, *, until: str) -> Update:
    """Run an update's stages under the policy that it was asked for with."""
    entry = work.journal.entries(update=name, kind="request")[0]
    policy = decode(Policy, json.loads(work.tools.artifacts.read(str(entry.body["policy"]))))
    tools = replace(
        work.tools,
        taken=frozenset(version_names(work)),
        seed=int(entry.body["seed"]),
        traffic=gateway(work, epoch) if until == "release" else None,
        rates=rates(policy),
        machine=Machine.of(policy.run),
    )

    def seen(update: str, now: Release) -> None:
        looks.note(work.home, update, now, tools.clock.now(), epoch)

    runner = Runner(
        work.journal,
        policy,
        tools,
        actor=work.actor,
        epoch=epoch,
        guard=work.guard,
        seen=seen,
    )
    work.runner = runner
    try:
        return runner.run(name, until=until)
    except Interrupted as error:
        work.interrupted = error.got
        return runner.update(name)
    except Exception as error:
        passing = BackendError | ApprovalVoid | NetworkChanged
        if isinstance(error, passing) and not isinstance(error, FINAL):
            raise  # it says nothing of the candidate: the update stays open
        known = isinstance(error, InstarError)
        reason = pathless(str(error) if known else f"{type(error).__name__}: {error}")
        note_failure(work.home, name)
        _fail(work, runner.update(name), epoch, reason, error)
        if isinstance(error, InstarError):
            raise
        if place := own_code(error, work.root):
            raise OwnCode(name, place, reason) from error
        raise StageFailed(name, reason) from error


def _fail(work: Work, state: Update, epoch: int, reason: str, error: Exception) -> None:
    """End an update for a reason; what traffic its candidate has goes home first.

    One that is promoted has nothing left to fail: its champion serves, or is about to.
    """
    if state.promoted:
        return
    if state.get(Release) is not None:
        home, champion = gateway(work, epoch), work.champion()
        try:
            bundle = champion.bundle
            home.move(home.route().home(champion.name, bundle.manifest, bundle.signature))
        except GatewaySilent as silent:
            work.tools.progress("traffic", note=f"goes home as soon as a gateway runs: {silent}")
    work.journal.append(
        "failed",
        {"reason": reason, "code": getattr(error, "code", "update.stage_failed")},
        update=state.request.update,
        model=work.project.model,
        actor=work.actor,
        epoch=epoch,
    )


def note_failure(home: Path, update: str) -> None:
    """Keep the whole story of a failure where only this machine's people read it.

    The ledger is shown to others and holds the reason without places; the traceback stands here.
    """
    told = f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {update}\n{traceback.format_exc()}"
    with contextlib.suppress(InstarError):  # a full disk is no reason to lose the reason, too
        SafeDir(home, mode=0o700).append("logs/failures.log", told.encode())


def own_code(error: BaseException, project: Path) -> str:
    """Say at which line of the project's own code an error arose; empty where it did not."""
    inside, frame = "", error.__traceback__
    while frame is not None:
        file = Path(frame.tb_frame.f_code.co_filename)
        if file.is_relative_to(project) and not file.is_relative_to(sys.prefix):
            inside = f"{file.name}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return inside


TASKS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "adopt": adopt,
    "check": check,
    "label": label,
    "export": export_log,
    "plan": look_ahead,
    "update": update,
    "queued": begin_queued,
    "resume": resume,
    "release": release,
    "watch": look,
    "reproduce": reproduce,
    "changes": changes,
}
