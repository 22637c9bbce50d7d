"""The working side: a process of its own that does one task and reports by JSON lines.

    python -m instar.worker < task.json

The task names what to do and the file to report to: lines with `progress`, and at the end one
with `result` or `error`. The process belongs to its own session, so that closing a terminal
ends the looking and not the work.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from instar import intake
from instar.core.codec import decode, encode
from instar.core.digest import in_order
from instar.core.errors import BackendError, InputError, InstarError, IntegrityError, PolicyError
from instar.core.finding import Verdict
from instar.core.policy import Policy
from instar.core.records import ModelVersion, Phase, Release, Watch
from instar.core.tools import Route, Tools
from instar.core.update import Update, replay
from instar.engines import ENGINES
from instar.ledger import ready
from instar.ledger.journal import Busy, Journal
from instar.ledger.safedir import SafeDir
from instar.ledger.stores import begun, open_artifacts, open_journal
from instar.ledger.versions import version
from instar.pipeline import Runner
from instar.policy import Project, read
from instar.serving.client import GatewayTraffic
from instar.stages.admit import admit
from instar.stages.package import version_name
from instar.stages.plan import plan
from instar.stages.watch import watch

LEASE_S = 15.0
FAMILIES = (
    ("policy", PolicyError),
    ("input", InputError),
    ("integrity", IntegrityError),
    ("backend", BackendError),
)


class UpdateRunning(InputError):
    """Refuse a second update of a model line while one is open."""

    code = "update.running"

    def __init__(self, update: str, state: str) -> None:
        super().__init__(
            "no open update of this model",
            f"{update}, which is {state}",
            f"finish it, or withdraw it: instar abort {update}",
        )


class NoChampion(InputError):
    """Ask for a champion before the first update."""

    code = "update.no_champion"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"a champion of {model}", "none", "take one over: instar adopt WEIGHTS --train DATA"
        )


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


class StageFailed(BackendError):
    """Report a stage that broke; the champion is untouched and the update has ended."""

    code = "update.stage_failed"

    def __init__(self, update: str, reason: str) -> None:
        super().__init__("a stage that ends with a record", reason, f"see: instar status {update}")


class SystemClock:
    """The clock of the machine."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Work:
    """One task's surroundings: the workspace, its project, whom to tell, and its ledger.

    The ledger is opened when it is first needed: a task that fails before leaves no trace.
    """

    def __init__(self, root: Path, project: Project, tools: Tools, by: str) -> None:
        self.root, self.project, self.tools, self.by = root, project, tools, by
        self.home = root / ".instar"

    @functools.cached_property
    def journal(self) -> Journal:
        return open_journal(self.home, self.project.store)

    def champion(self) -> ModelVersion:
        """Return the version in service.

        Raises:
            NoChampion: there is none yet.
        """
        entry = (
            self.journal.champion(self.project.model)
            if begun(self.home, self.project.store)
            else None
        )
        if entry is None:
            raise NoChampion(self.project.model)
        return decode(ModelVersion, entry.body)

    def updates(self) -> Iterator[tuple[str, Update]]:
        for entry in self.journal.entries(model=self.project.model, kind="request"):
            name = str(entry.update)
            yield name, replay(self.journal.entries(update=name))

    def _acquire(self, model: str, holder: str) -> int:
        """Take the lease; one whose holder has died runs out soon and is waited for."""
        while True:
            try:
                return self.journal.acquire(model, holder, LEASE_S, self.tools.clock.now())
            except Busy as error:
                if not _is_dead(error.holder):
                    raise
                self.tools.progress("lease", note="waits for the one of a worker that died")
                self.tools.clock.sleep(0.5)

    @contextmanager
    def lease(self) -> Iterator[int]:
        """Hold the model line, renewing the lease until the work is done."""
        model, holder = self.project.model, f"{socket.gethostname()}:{os.getpid()}"
        epoch = self._acquire(model, holder)
        done = threading.Event()

        def renew() -> None:
            while not done.wait(LEASE_S / 3):
                # A lost lease is told by the next write; a ledger that is busy, by nobody.
                with contextlib.suppress(BackendError):
                    self.journal.renew(model, holder, epoch, LEASE_S, self.tools.clock.now())

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield epoch
        finally:
            done.set()
            thread.join()
            self.journal.release(model, holder, epoch)


def _is_dead(holder: str) -> bool:
    """Tell whether a lease's holder was a process of this machine that is gone."""
    host, _, pid = holder.partition(":")
    return host == socket.gethostname() and pid.isdigit() and not Path(f"/proc/{pid}").exists()


def adopt(
    work: Work, *, weights: str, train: str, holdout: str, preprocessing: str | None, seed: int
) -> dict[str, Any]:
    """Take a model over as the first champion."""
    with contextlib.suppress(NoChampion):
        raise AlreadyAdopted(work.project.model, work.champion().name)
    made = intake.adopt(
        work.project,
        replace(work.tools, seed=seed),
        weights=Path(weights),
        train=train,
        holdout=holdout,
        preprocessing=Path(preprocessing) if preprocessing else None,
        version=version_name(work.tools.clock.now(), ()),
    )
    with work.lease() as epoch:
        work.journal.promote(
            work.project.model,
            expect=None,
            kind="adoption",
            body=encode(made),
            update=None,
            actor=work.by,
            epoch=epoch,
        )
    put_in_service(work, made)
    return {"champion": made.name, "metrics": dict(made.metrics), "rows": made.train[0].rows}


def put_in_service(work: Work, champion: ModelVersion) -> None:
    """Want all traffic for a champion; a gateway follows as soon as it runs."""
    gateway(work).put(
        Route(
            model=work.project.model,
            generation=1,
            shares={champion.name: 1.0},
            manifests={champion.name: champion.bundle.manifest},
            champion=champion.name,
        )
    )


def gateway(work: Work) -> GatewayTraffic:
    """Reach the gateway of this workspace."""
    return GatewayTraffic(work.root / ".instar", work.project.model)


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
    made = plan(request, champion, admission, policy=policy.plan, tools=work.tools)
    return {"admission": encode(admission), "plan": encode(made)}


def alone(work: Work) -> ModelVersion:
    """Return the champion, if no update of it is open.

    Raises:
        UpdateRunning: there is one.
    """
    champion = work.champion()
    for name, state in work.updates():
        if state.state.open:
            raise UpdateRunning(name, state.state.value)
    return champion


def update(work: Work, *, source: str, reason: str, seed: int) -> dict[str, Any]:
    """Ask for an update and carry it as far as verdicts and people allow."""
    champion = alone(work)
    weights = max((file.size for file in champion.bundle.files), default=0)
    ready.room(work.home, ready.estimate(_bytes(source), weights))
    found = intake.ask(work.project, champion, source, work.tools, Path(source).name)
    with work.lease() as epoch:
        if alone(work) != champion:  # reading takes its time, and others did not wait for it
            raise ChampionChanged(champion.name)
        number = 1 + len(work.journal.entries(model=work.project.model, kind="request"))
        name = f"u{number:04}"
        policy = work.tools.artifacts.put(in_order(encode(work.project.policy)))
        request = intake.request(
            found,
            work.project,
            champion,
            update=name,
            reason=reason,
            by=work.by,
            policy=policy,
            seed=seed,
        )
        work.journal.append(
            "request",
            encode(request),
            update=name,
            model=request.model,
            actor=work.by,
            epoch=epoch,
        )
        carry(work, name, epoch, until="approve")
    return {"update": name}


def _bytes(source: str) -> int:
    """Add up what lies under a name: a file, a folder, or a pattern's files; 0 where nothing."""
    path = Path(source)
    anchor = Path(path.anchor)
    there = [path] if path.exists() else anchor.glob(str(path.relative_to(anchor)))
    within = (found for one in there for found in (one.rglob("*") if one.is_dir() else [one]))
    return sum(found.stat().st_size for found in within if found.is_file())


def resume(work: Work, *, update: str) -> dict[str, Any]:
    """Go on with an update after people have spoken, or after a crash."""
    with work.lease() as epoch:
        carry(work, update, epoch, until="approve")
    return {"update": update}


def release(work: Work, *, update: str) -> dict[str, Any]:
    """Hand traffic over to an approved candidate, watching every step."""
    gateway(work).status()  # a release begins only where somebody can see it
    with work.lease() as epoch:
        state = carry(work, update, epoch, until="release")
    last = state.get(Release)
    if last is not None and last.phase is Phase.PROMOTED:
        made = version(work.journal, work.project.model, state.request.champion)
        work.tools.progress("release", 1, 1, f"{made.name} stays warm")
    return {"update": update}


def look(work: Work) -> dict[str, Any]:
    """Judge production by the labels that have come."""
    champion = work.champion()
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
        actor=work.by,
    )
    return {"watch": encode(found)}


def version_names(work: Work) -> Iterator[str]:
    """Name every version that this model line ever packaged."""
    for kind, field in (("adoption", "name"), ("bundle", "version")):
        for entry in work.journal.entries(model=work.project.model, kind=kind):
            yield str(entry.body[field])


def carry(work: Work, name: str, epoch: int, *, until: str) -> Update:
    """Run an update's stages under the policy that it was asked for with."""
    entry = work.journal.entries(update=name, kind="request")[0]
    policy = decode(Policy, json.loads(work.tools.artifacts.read(str(entry.body["policy"]))))
    tools = replace(
        work.tools,
        taken=frozenset(version_names(work)),
        seed=int(entry.body["seed"]),
        traffic=gateway(work) if until == "release" else None,
    )
    runner = Runner(work.journal, policy, tools, actor=work.by, epoch=epoch)
    try:
        return runner.run(name, until=until)
    except BackendError:
        raise
    except Exception as error:
        reason = (
            str(error) if isinstance(error, InstarError) else f"{type(error).__name__}: {error}"
        )
        work.journal.append(
            "failed",
            {"reason": reason, "code": getattr(error, "code", "update.stage_failed")},
            update=name,
            model=work.project.model,
            actor=work.by,
            epoch=epoch,
        )
        if isinstance(error, InstarError):
            raise
        raise StageFailed(name, reason) from error


TASKS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "adopt": adopt,
    "check": check,
    "plan": look_ahead,
    "update": update,
    "resume": resume,
    "release": release,
    "watch": look,
}


def main() -> None:
    """Do the task that standard input names."""
    task = json.load(sys.stdin)
    with ExitStack() as stack:
        out = stack.enter_context(Path(task["out"]).open("a", encoding="utf-8"))

        def tell(**line: Any) -> None:
            out.write(json.dumps(line) + "\n")
            out.flush()

        def progress(what: str, done: float = 0, total: float = 0, note: str = "") -> None:
            tell(progress={"what": what, "done": done, "total": total, "note": note})

        try:
            root = Path(task["root"])
            project = read(root / "instar.yaml", overrides=task["set"])
            passing = stack.enter_context(tempfile.TemporaryDirectory(prefix="instar-"))
            kept = task["do"] in ("update", "resume", "release")
            tools = Tools(
                artifacts=open_artifacts(root / ".instar", project.store),
                clock=SystemClock(),
                progress=progress,
                engine=ENGINES["local"](1),
                scratch=root / ".instar" / "scratch" if kept else Path(passing),
                folder=SafeDir,
                project=root,
            )
            work = Work(root, project, tools, task["by"])
            if kept or task["do"] == "adopt":
                ready.writable(work.home)
            tell(result=TASKS[task["do"]](work, **task["args"]))
        except InstarError as error:
            family = next(name for name, base in FAMILIES if isinstance(error, base))
            parts = [error.wanted, error.got, error.todo]
            tell(error={"code": error.code, "family": family, "parts": parts})
        except Exception:
            traceback.print_exc()
            raise


if __name__ == "__main__":
    main()
