"""One method for each thing a person can do; the command line and the pages are doors to it.

Reading is done here, from the ledger. Work on tensors is handed to a worker process, whose
progress is passed on as it comes; ending the caller does not end the work.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar.core.codec import decode, encode
from instar.core.digest import digest_json
from instar.core.errors import InputError, PolicyError
from instar.core.finding import Verdict
from instar.core.names import is_name, words
from instar.core.records import (
    Approval,
    Bundle,
    ModelVersion,
    Plan,
    Validation,
    Vote,
    VoteKind,
    person,
)
from instar.core.update import State, Update, replay
from instar.service.child import Tell, as_file, located, run_worker
from instar.service.errors import NoSuchFile, NotNow, NoWayBack, OwnUpdate, UnknownUpdate
from instar.service.outcome import Outcome, describe

if TYPE_CHECKING:
    from instar.core.tools import Route
    from instar.ledger.journal import Entry, Journal
    from instar.policy import Project
    from instar.serving.client import Gateway


class Workspace:
    """A folder with an `instar.yaml`: the project, its ledger and its artifacts."""

    def __init__(
        self, root: Path | str = ".", *, by: str | None = None, settings: Sequence[str] = ()
    ) -> None:
        self.root = Path(root).resolve()
        who = by or os.environ.get("INSTAR_USER") or os.environ.get("USER") or "somebody"
        self.by = words("name of a person", who, 100)
        self.settings = tuple(settings)

    @functools.cached_property
    def project(self) -> Project:
        from instar.policy import read

        return read(self.root / "instar.yaml", overrides=self._overrides())

    @property
    def home(self) -> Path:
        """The workspace's own folder, where nobody else writes."""
        return self.root / ".instar"

    @property
    def _begun(self) -> bool:
        from instar.ledger.stores import begun

        return begun(self.home, self.project.store)

    def _overrides(self) -> dict[str, str]:
        from instar.policy import split_overrides

        return split_overrides(self.settings)

    @functools.cached_property
    def journal(self) -> Journal:
        from instar.ledger.stores import open_journal

        # A broken policy is told first: no ledger is made beside a folder that is no workspace.
        return open_journal(self.home, self.project.store)

    def init(self, *, model: str, kind: str, target: str, build: str) -> dict[str, Any]:
        """Write a first `instar.yaml`.

        Raises:
            PolicyExists: there is one already.
            PolicyError: the words do not make a policy; nothing stays.
        """
        from instar.policy.template import write

        path = self.root / "instar.yaml"
        write(path, model=model, kind=kind, target=target, build=build)
        try:
            return {"file": path.name, "model": self.project.model}
        except PolicyError:
            path.unlink()
            raise

    # Work, done by the worker process.

    def adopt(
        self,
        weights: str,
        *,
        train: str,
        holdout: str,
        preprocessing: str | None = None,
        seed: int = 0,
        tell: Tell | None = None,
    ) -> dict[str, Any]:
        """Take over a model that serves already, as the first champion.

        Raises:
            InputError: weights, network or data do not fit each other; nothing was written.
        """
        how = self._file(preprocessing) if preprocessing else None
        return self._work(
            "adopt",
            tell,
            weights=self._file(weights),
            train=located(train, self.root),
            holdout=located(holdout, self.root),
            preprocessing=how,
            seed=seed,
        )

    def check(self, source: Any, *, seed: int = 0, tell: Tell | None = None) -> dict[str, Any]:
        """Hold fresh data against the data gate; nothing is recorded."""
        self.champion()
        with as_file(source, self.root) as file:
            return self._work("check", tell, source=file, seed=seed)

    def plan(self, source: Any, *, seed: int = 0, tell: Tell | None = None) -> dict[str, Any]:
        """Say which strategy an update with these data would take; nothing is recorded."""
        self.champion()
        with as_file(source, self.root) as file:
            return self._work("plan", tell, source=file, seed=seed)

    def update(
        self, source: Any, *, reason: str, seed: int = 0, tell: Tell | None = None
    ) -> Outcome:
        """Ask for an update and carry it to where people must speak.

        Raises:
            InputError: the data cannot be used, or an update is open; nothing was written.
        """
        self.champion()
        with as_file(source, self.root) as file:
            why = words("reason", reason)
            done = self._work("update", tell, source=file, reason=why, seed=seed)
        return self.outcome(done["update"])

    def resume(self, update: str, *, tell: Tell | None = None) -> Outcome:
        """Carry an open update on, after people have spoken or after a crash."""
        self.state(update)
        self._work("resume", tell, update=update)
        return self.outcome(update)

    def release(self, update: str, *, tell: Tell | None = None) -> Outcome:
        """Hand traffic over to an approved candidate, step by step.

        Raises:
            NotNow: the update is not approved, or has ended.
        """
        state = self.state(update)
        approved = state.stage in ("approval", "release") and state.verdict is Verdict.PASS
        if not state.state.open or not (approved or state.state is State.RELEASING):
            raise NotNow(
                "an approved update", update, state.state.value, f"see: instar status {update}"
            )
        approval = state.get(Approval)
        until = approval.expires_at if approval else None
        if state.state is State.WAITING and until is not None and until < time.time():
            raise NotNow(
                "a valid approval",
                update,
                "approved too long ago",
                f"ask again: instar approve {update}",
            )
        self._work("release", tell, update=update)
        return self.outcome(update)

    def watch(self, *, tell: Tell | None = None) -> dict[str, Any]:
        """Judge production by the labels that have come."""
        return self._work("watch", tell)

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[Gateway]:
        """Run the prediction gateway for the while; port 0 takes a free one.

        Raises:
            NoChampion: there is nothing to serve.
            GatewayFailed: it did not start.
        """
        from instar.serving.client import start

        self.champion()
        gateway = start(self.home, self.project.model, port)
        try:
            yield gateway
        finally:
            gateway.stop()

    # People.

    def approve(self, update: str, *, reason: str = "", tell: Tell | None = None) -> Outcome:
        """Approve what was validated, as `by`."""
        return self._vote(VoteKind.APPROVE, update, reason, "", tell)

    def reject(self, update: str, *, reason: str, tell: Tell | None = None) -> Outcome:
        """Refuse the candidate, with a reason."""
        return self._vote(VoteKind.REJECT, update, reason, "", tell)

    def override(self, update: str, code: str, *, reason: str, tell: Tell | None = None) -> Outcome:
        """Let one inconclusive finding pass, with a reason."""
        return self._vote(VoteKind.OVERRIDE, update, reason, code, tell)

    def _vote(
        self, kind: VoteKind, update: str, reason: str, code: str, tell: Tell | None
    ) -> Outcome:
        words("reason", reason)
        state = self.state(update)
        validation, bundle = state.get(Validation), state.get(Bundle)
        if state.state is not State.WAITING or validation is None or bundle is None:
            raise NotNow(
                "an update that waits for people", update, state.state.value, "see: instar status"
            )
        if kind is not VoteKind.REJECT and person(self.by) == person(state.request.by):
            raise OwnUpdate(update, self.by)
        if kind is not VoteKind.APPROVE and not reason.strip():
            raise InputError("a reason", "none", "say why: --reason TEXT")
        if code and code not in {finding.code for finding in validation.findings}:
            open_ = [f.code for f in validation.findings if f.verdict is Verdict.INCONCLUSIVE]
            raise InputError(
                f"a finding out of {', '.join(open_) or 'none'}", repr(code), "name one of these"
            )
        vote = Vote(
            kind=kind,
            by=self.by,
            at=time.time(),
            validation=digest_json(encode(validation)),
            bundle=bundle.manifest,
            policy=state.request.policy,
            reason=reason,
            code=code,
        )
        self.journal.append(
            "vote", encode(vote), update=update, model=state.request.model, actor=self.by
        )
        return self.resume(update, tell=tell)

    def abort(self, update: str, *, reason: str) -> Outcome:
        """Withdraw an open update; a release under way is rolled back first."""
        words("reason", reason)
        state = self.state(update)
        if not state.state.open:
            raise NotNow("an open update", update, state.state.value, "nothing to do")
        if state.promoted:
            raise NotNow(
                "an update that can be withdrawn", update, "promoted", "go back: instar rollback"
            )
        if state.state is State.RELEASING:
            self._all_traffic_to(self.champion())
        self.journal.append(
            "withdrawn",
            {"reason": reason},
            update=update,
            model=state.request.model,
            actor=self.by,
        )
        return self.outcome(update)

    def rollback(self, *, reason: str) -> dict[str, Any]:
        """Put the champion's predecessor back: traffic first, then the record.

        A gateway that is down takes the route up when it comes back: `in_force` says so.

        Raises:
            NoWayBack: the champion is the first of its line.
            NotNow: a release is under way, which would move the traffic again.
        """
        words("reason", reason)
        current = self.journal.champion(self.project.model)
        champion = self.champion()
        if current is None or champion.parent is None:
            raise NoWayBack(champion.name)
        for update in self.update_ids():
            state = self.state(update)
            if state.state is State.RELEASING and not state.promoted:
                raise NotNow(
                    "no release under way", update, "releasing", f"first: instar abort {update}"
                )
        earlier = self.version(champion.parent)
        began = time.monotonic()
        in_force = self._all_traffic_to(earlier)
        seconds = time.monotonic() - began
        self.journal.promote(
            self.project.model,
            expect=current.seq,
            kind="rollback",
            body=encode(earlier),
            update=champion.update,
            actor=self.by,
            epoch=None,
        )
        self.journal.append(
            "note",
            {"reason": reason, "from": champion.name, "to": earlier.name, "seconds": seconds},
            update=champion.update,
            model=self.project.model,
            actor=self.by,
        )
        return {
            "champion": earlier.name,
            "was": champion.name,
            "seconds": seconds,
            "in_force": in_force,
        }

    def route(self) -> Route:
        """Return the route that is wanted: which version serves which share.

        Raises:
            NoRoute: nothing serves yet.
        """
        from instar.serving.client import GatewayTraffic

        return GatewayTraffic(self.home, self.project.model).route()

    def _all_traffic_to(self, version: ModelVersion) -> bool:
        """Give a version all traffic; tell whether a gateway says that it is so."""
        from instar.serving.client import GatewaySilent, GatewayTraffic

        traffic = GatewayTraffic(self.home, self.project.model)
        try:
            traffic.move(traffic.route().home(version.name, version.bundle.manifest))
        except GatewaySilent:
            return False
        return True

    # Reading.

    def champion(self) -> ModelVersion:
        """Return the version in service."""
        model = self.project.model
        entry = self.journal.champion(model) if self._begun else None
        if entry is None:
            raise InputError(
                f"a champion of {self.project.model}",
                "none",
                "take one over: instar adopt WEIGHTS --train DATA --holdout DATA",
            )
        return decode(ModelVersion, entry.body)

    def version(self, name: str) -> ModelVersion:
        """Return a version of this model line by its name.

        Raises:
            UnknownVersion: the ledger does not hold it.
        """
        from instar.ledger.versions import version

        return version(self.journal, self.project.model, name)

    def state(self, update: str) -> Update:
        """Replay one update.

        Raises:
            UnknownUpdate: the ledger does not hold it.
        """
        known = is_name(update) and self._begun  # what is no name never reaches the database
        entries = self.journal.entries(update=update) if known else []
        if not entries:
            raise UnknownUpdate(update, self.update_ids() if self._begun else [])
        return replay(entries)

    def update_ids(self) -> list[str]:
        """List the ids of this model line's updates, oldest first."""
        return [
            str(e.update) for e in self.journal.entries(model=self.project.model, kind="request")
        ]

    def outcome(self, update: str) -> Outcome:
        """Say where an update stands."""
        return describe(update, self.state(update))

    def history(self) -> list[Entry]:
        """List the ledger's entries of this model line, oldest first."""
        return self.journal.entries(model=self.project.model)

    def audit(self) -> dict[str, Any]:
        """Verify the whole chain; no problems means that every entry is as it was written."""
        problems = [f"entry {p.seq}: {p.message}" for p in self.journal.verify()]
        entries = None if problems else len(self.journal.entries())  # it reads sound entries only
        return {"entries": entries, "problems": problems}

    def status(self) -> dict[str, Any]:
        """Say what serves, and where each update stands, newest first."""
        entry = self.journal.champion(self.project.model)
        return {
            "model": self.project.model,
            "champion": entry.body["name"] if entry else None,
            "since": entry.at if entry else None,
            "metrics": dict(entry.body["metrics"]) if entry else {},
            "updates": self.updates(),
        }

    def updates(self) -> list[dict[str, Any]]:
        """List the updates of this model line in plain values, newest first."""
        rows = []
        for asked in self.journal.entries(model=self.project.model, kind="request"):
            name = str(asked.update)
            state, done = self.state(name), self.outcome(name)
            plan = state.get(Plan)
            rows.append(
                {
                    "update": name,
                    "state": done.state.value,
                    "stage": done.stage,
                    "verdict": done.verdict.value if done.verdict else None,
                    "strategy": plan.strategy if plan else None,
                    "reason": state.request.reason,
                    "by": state.request.by,
                    "at": asked.at,
                    "champion": done.champion,
                    "candidate": done.candidate,
                    "message": done.message,
                    "next": done.next,
                }
            )
        return rows[::-1]

    def policy(self) -> list[dict[str, Any]]:
        """List every setting in force, and where it comes from."""
        from instar.policy import show

        return [setting._asdict() for setting in show(self.project)]

    def report(self, update: str) -> str:
        """Write the update's page, self-contained HTML."""
        from instar.report import render
        from instar.service.story import gather

        state = self.state(update)
        metrics = tuple(self.project.policy.validate.metrics)
        return render(
            gather(
                state,
                self.version(state.request.champion),
                self.champion().name,
                metrics[0] if metrics else "",
                self.journal.entries(update=update),
            )
        )

    # The worker process.

    def _file(self, name: str) -> str:
        found = located(name, self.root)
        if not Path(found).is_file():
            raise NoSuchFile(name)
        return found

    def _work(self, task: str, tell: Tell | None, **args: Any) -> dict[str, Any]:
        _ = self.project  # a broken policy is said here, before a process starts
        order = {
            "do": task,
            "root": str(self.root),
            "by": self.by,
            "set": self._overrides(),
            "args": args,
        }
        return run_worker(order, tell)
