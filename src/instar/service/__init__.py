"""One method for each thing a person can do; the command line and the pages are doors to it.

Reading is done here, from the ledger. Work on tensors is handed to a worker process, whose
progress is passed on as it comes; ending the caller does not end the work.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar.core.codec import decode, encode
from instar.core.digest import digest_json
from instar.core.errors import InputError, NoSuchFile, PolicyError
from instar.core.finding import Verdict
from instar.core.names import is_name, words
from instar.core.records import (
    PSEUDONYM,
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
from instar.service.errors import NotNow, OwnUpdate, UnknownUpdate
from instar.service.outcome import Outcome, describe

if TYPE_CHECKING:
    from instar.core.tools import Clock, Route
    from instar.ledger.journal import Entry, Journal
    from instar.policy import Project
    from instar.service.due import TooEarly
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

    @functools.cached_property
    def actor(self) -> str:
        """The pseudonym under which `by` stands in the ledger."""
        return self.journal.person(self.by)

    def _named(self, value: Any) -> Any:
        """Show people by their names."""
        from instar.service.people import revealed

        return revealed(value, self.journal.people())

    def acting(self, by: str) -> Workspace:
        """Open the same workspace as somebody else.

        Raises:
            BadWords: it is no name.
        """
        made = Workspace(self.root, by=by, settings=self.settings)
        for name in ("project", "journal"):
            if name in vars(self):
                vars(made)[name] = vars(self)[name]
        return made

    def token(self) -> str:
        """Return the word that lets a program change something over HTTP; it is made at need."""
        from instar.ledger.api_token import token

        return token(self.home)

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
        signature: str | None = None,
        keys: Sequence[str] = (),
        seed: int = 0,
        tell: Tell | None = None,
    ) -> dict[str, Any]:
        """Take over a model that serves already, as the first champion.

        With `signature` and the public `keys` that are trusted, the weights must be what was
        signed: that file alone, or every file of its folder.

        Raises:
            InputError: weights, network or data do not fit each other; nothing was written.
            IntegrityError: nobody trusted signed the weights; nothing was written.
        """
        if bool(signature) != bool(keys):
            raise InputError(
                "a signature and a key, or neither", "one of them", "give both: --signature, --key"
            )
        how = self._file(preprocessing) if preprocessing else None
        return self._work(
            "adopt",
            tell,
            weights=self._file(weights),
            train=located(train, self.root),
            holdout=located(holdout, self.root),
            preprocessing=how,
            seed=seed,
            signature=self._file(signature) if signature else None,
            keys=[self._file(key) for key in keys],
        )

    def check(self, source: Any, *, seed: int = 0, tell: Tell | None = None) -> dict[str, Any]:
        """Hold fresh data against the data gate; nothing is recorded."""
        self.champion()
        with as_file(source, self.root) as file:
            return self._work("check", tell, source=file, seed=seed)

    def label(
        self,
        source: Any,
        output: str | Path,
        *,
        rows: int | None = None,
        by: str | None = None,
        pseudo: float | None = None,
        audit: int | None = None,
        seed: int = 0,
        tell: Tell | None = None,
    ) -> dict[str, Any]:
        """Choose rows for people to label, or give those of which the champion is sure its answers.

        Args:
            output: The CSV to write; the rows to audit go beside it, as NAME.audit.csv.
            rows: How many rows people can label.
            by: How they are chosen: `entropy`, `margin` or `core-set`.
            pseudo: Instead, how sure of an answer the champion must be, in (0.5, 1).
            audit: How many of the pseudo-labels people look at, drawn at random.
        Raises:
            InputError: the options do not go together, or the data cannot be used; nothing is
                written.
        """
        from instar.service.label import order

        asked = order(output, rows=rows, by=by, pseudo=pseudo, audit=audit)
        self.champion()
        with as_file(source, self.root) as file:
            return self._work("label", tell, source=file, seed=seed, **asked)

    def export_log(
        self,
        output: str | Path,
        *,
        unlabelled: bool = False,
        answers: bool = False,
        tell: Tell | None = None,
    ) -> dict[str, Any]:
        """Write the predictions that the gateway kept, with their labels, as a Parquet file.

        Args:
            output: A new file, which `update` takes as fresh data.
            unlabelled: Rows without a label too.
            answers: With id, version, generation, time and scores of each answer.
        Raises:
            TakenFile: it is there already, or its folder is not.
            InputError: nothing was kept, or nothing of it has a label.
        """
        from instar.service.convert import TakenFile

        out = Path(output).absolute()
        if out.suffix.lower() != ".parquet":
            raise TakenFile(out.name, "which does not end in .parquet")
        if os.path.lexists(out):
            raise TakenFile(out.name, "which is there already")
        if not out.parent.is_dir():
            raise TakenFile(out.name, "in a folder that does not exist")
        self.champion()
        return self._work("export", tell, output=str(out), unlabelled=unlabelled, answers=answers)

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
            InputError: the data cannot be used, an update is open, this machine is not one that
                the policy wants updates on, or it comes too early for the policy; nothing was
                written.

        Where a release is under way whose plan lets newcomers queue, the update waits for its end:
        the outcome is then that of the release, unchanged.
        """
        from instar.service.environment import require

        require(self.root, self.project)
        self.champion()
        hasty = self.early()
        if hasty is not None and not hasty.only_told:
            raise hasty
        with as_file(source, self.root) as file:
            why = words("reason", reason)
            done = self._work("update", tell, source=file, reason=why, seed=seed)
        return self._stands(done)

    def resume(self, update: str, *, reason: str = "", tell: Tell | None = None) -> Outcome:
        """Carry an open update on, after people have spoken or after a crash; let a release go on.

        A release that is paused goes on from where it stands.
        """
        why = words("reason", reason)
        if self.state(update).state is State.RELEASING:
            from instar.service import steer

            return steer.resume(self, update, why, tell)
        return self._stands(self._work("resume", tell, update=update))

    def resume_any(self, *, tell: Tell | None = None) -> Outcome | None:
        """Carry the open update on, or begin the one that has waited longest; None without any."""
        if not self._begun:
            return None
        for name in reversed(self.update_ids()):
            if self.state(name).state.open:
                return self.resume(name, tell=tell)
        done = self._work("queued", tell)
        return self._stands(done) if done["update"] else None

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
        return self._stands(self._work("release", tell, update=update))

    def _stands(self, done: Mapping[str, Any]) -> Outcome:
        """Say where an update stands after a worker; one that was told to stop says so."""
        outcome = self.outcome(str(done["update"]))
        if queued := done.get("queued"):
            waits = f"queued as entry {queued}: it begins when {outcome.update} has ended"
            return replace(outcome, changed=False, message=waits, next="instar status -w")
        said = done.get("interrupted")
        return replace(outcome, message=f"interrupted: {said}") if said else outcome

    def watch(self, *, tell: Tell | None = None) -> dict[str, Any]:
        """Judge production by the labels that have come."""
        return self._work("watch", tell)

    @contextmanager
    def serve(
        self,
        port: int = 0,
        *,
        workers: int | None = None,
        cache: int | None = None,
        grpc: int | None = None,
    ) -> Iterator[Gateway]:
        """Run the prediction gateway for the while.

        Args:
            port: Where it listens; 0: any that is free.
            workers: How many processes answer; 0: one a core, at most 2; None: as `serve` of
                the policy file says, here and below.
            cache: How many answers each of them keeps; 0: none.
            grpc: The port of the gRPC server; 0: any that is free.
        Raises:
            NoChampion: there is nothing to serve.
            MissingExtra: gRPC is asked for, and not installed.
            GatewayFailed: it did not start.
        """
        from instar.serving.client import start

        given: dict[str, Any] = {"workers": workers, "cache": cache, "grpc": grpc}
        said = {name: value for name, value in given.items() if value is not None}
        how = replace(self.project.serve, **said)
        self.champion()
        self.settle()
        gateway = start(self.home, self.project.model, port, self.project.store.artifacts, how)
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
        # An update that was asked for under a plain name, before there were pseudonyms, is voted
        # on under plain names to its end: nobody must count as two people.
        plain = not state.request.by.startswith(PSEUDONYM)
        by = self.by if plain else self.actor
        if kind is not VoteKind.REJECT and person(by) == person(state.request.by):
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
            by=by,
            at=time.time(),
            validation=digest_json(encode(validation)),
            bundle=bundle.manifest,
            policy=state.request.policy,
            reason=reason,
            code=code,
        )
        self.journal.append(
            "vote", encode(vote), update=update, model=state.request.model, actor=by
        )
        return self.resume(update, tell=tell)

    def pause(self, update: str, *, reason: str) -> Outcome:
        """Stop a release where it is; its gates go on, and proof of harm still ends it.

        Raises:
            NotNow: no release of it is under way.
        """
        from instar.service import steer

        return steer.pause(self, update, words("reason", reason))

    def promote(
        self,
        update: str,
        *,
        reason: str,
        step: bool = False,
        lets_pass: Sequence[str] = (),
        tell: Tell | None = None,
    ) -> Outcome:
        """End a release's remaining steps (or with `step` this one), as `by`, for a reason.

        A gate that fails rolls back all the same, unless `lets_pass` names it.

        Raises:
            NotNow: no release of it is under way.
            OwnUpdate: who asked for the update goes over no gate.
        """
        from instar.service import steer

        why = words("reason", reason)
        return steer.promote(self, update, why, step=step, lets_pass=lets_pass, tell=tell)

    def abort(self, update: str, *, reason: str) -> Outcome:
        """Withdraw an open update, whoever works on it; a release under way is rolled back.

        Where it has ended already nothing is done, and the outcome's `changed` says so.

        Raises:
            NotNow: it is promoted.
        """
        from instar.service.way_back import abort

        if abort(self, update, words("reason", reason)):
            return self.outcome(update)
        return self._nothing(update)

    def abort_open(self, *, reason: str) -> Outcome | None:
        """Withdraw the update that is open; nothing is done where none is.

        Returns:
            Its outcome; or the last update's, unchanged; None where there never was one.
        """
        ids = self.update_ids() if self._begun else []
        opened = [name for name in ids if self.state(name).state.open]
        if opened:
            return self.abort(opened[-1], reason=reason)
        return self._nothing(ids[-1]) if ids else None

    def _nothing(self, update: str) -> Outcome:
        found = self.outcome(update)
        said = f"nothing is in progress: {update} is {found.state.value}; nothing was changed"
        return replace(found, changed=False, message=said, next="instar status")

    def rollback(self, *, reason: str) -> dict[str, Any]:
        """Put the champion's predecessor back: traffic first, then the record.

        A gateway that is down takes the route up when it comes back: `in_force` says so.

        Raises:
            NoWayBack: the champion is the first of its line.
            NotNow: a release is under way, which would move the traffic again.
        """
        from instar.service.way_back import rollback

        return rollback(self, words("reason", reason))

    def route(self) -> Route:
        """Return the route that is wanted: which version serves which share.

        Raises:
            NoRoute: nothing serves yet.
        """
        from instar.serving.client import GatewayTraffic

        return GatewayTraffic(self.home, self.project.model).route()

    def settle(self) -> None:
        """Bring traffic to where the ledger says, where a crash left the two apart."""
        from instar.core.clock import SystemClock
        from instar.serving.settle import settle

        settle(self.home, self.project.model, self.journal, SystemClock().boot())

    def sign(self) -> dict[str, Any]:
        """Sign what serves with the workspace's key; see `instar.service.bundle.sign`."""
        from instar.service.bundle import sign

        return sign(self)

    def export_bundle(self, version: str, folder: Path | str) -> dict[str, Any]:
        """Write a version's bundle as a folder; see `instar.service.bundle.export`."""
        from instar.service.bundle import export

        return export(self, version, Path(folder))

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
        from instar.ledger.versions import signed

        return signed(self.journal, model, decode(ModelVersion, entry.body))

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
        done: Outcome = self._named(describe(update, self.state(update)))
        return done

    def history(
        self,
        *,
        update: str | None = None,
        kind: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> list[Entry]:
        """List the ledger's entries of this model line, oldest first; see `record.select`."""
        from instar.service.record import select

        entries = self.journal.entries(model=self.project.model)
        chosen = select(entries, update=update, kind=kind, since=since, until=until)
        found: list[Entry] = self._named(chosen)
        return found

    def champion_on(self, day: str) -> dict[str, Any]:
        """Say which version was champion at the end of a day, in UTC."""
        from instar.service.record import on

        found: dict[str, Any] = self._named(on(self.journal.entries(model=self.project.model), day))
        return found

    def show(self, word: str) -> dict[str, Any]:
        """Say everything about an entry, an update or a version; see `record.show`."""
        from instar.service.record import show

        found: dict[str, Any] = self._named(show(self.journal, self.project.model, word))
        return found

    def diff(
        self, one: str, other: str, *, layer: str | None = None, tell: Tell | None = None
    ) -> dict[str, Any]:
        """Say what changed from one version to another; see `diff.diff`."""
        from instar.ledger.stores import open_artifacts
        from instar.service.diff import diff

        def measure(before: str, after: str) -> list[dict[str, Any]]:
            return list(self._work("changes", tell, before=before, after=after)["changes"])

        found = diff(
            self.journal,
            open_artifacts(self.home, self.project.store),
            self.project.model,
            (one, other),
            layer=layer,
            measure=measure,
        )
        named: dict[str, Any] = self._named(found)
        return named

    def reproduce(self, update: str, *, tell: Tell | None = None) -> dict[str, Any]:
        """Run an update again, up to its bundle, and hold what comes out against the record.

        Raises:
            GoneArtifacts: something that it was made from is not in the store any more.
        """
        self.state(update)
        return self._work("reproduce", tell, update=update)

    def doctor(self) -> list[dict[str, Any]]:
        """Examine machine, libraries and stores; works where there is no ledger, nor a policy."""
        from instar.service.doctor import examine

        return [finding._asdict() for finding in examine(self.root, self._overrides())]

    def audit(self, *, deep: bool = False) -> dict[str, Any]:
        """Verify the whole ledger; no problems means that every entry is as it was written."""
        from instar.service.audit import verify

        return verify(self.home, self.project.store, deep=deep)

    def export(self, folder: Path | str) -> dict[str, Any]:
        """Write the ledger, its checkpoints and the public key for a verifier.

        Raises:
            TakenFolder: there is something in the folder.
        """
        from instar.service.audit import export

        return export(self.journal, self.home, Path(folder))

    def forget(self, name: str) -> None:
        """Forget who somebody is; what they did stays, under a pseudonym.

        Raises:
            UnknownPerson: the ledger knows nobody of that name.
            StillInvolved: an update that they asked for or voted on is open.
        """
        from instar.service.people import forget

        forget(self.journal, name)

    def prove(self, entry: int) -> dict[str, Any]:
        """Prove that an entry is in the ledger, for somebody who does not have all of it.

        Raises:
            UnknownEntry: there is no such entry.
        """
        self.journal.checkpoint()
        return self.journal.prove(entry)

    def due(self, *, clock: Clock | None = None) -> dict[str, Any]:
        """Say whether an update is due, why, from when if not, and how many rows it should bring.

        Only ledger and policy are read; of production it knows what `watch` recorded. See
        `instar.need`.

        Raises:
            InputError: there is no champion yet.
        """
        from instar.service.due import due

        return due(self, clock)

    def early(self, *, clock: Clock | None = None) -> TooEarly | None:
        """Say what is to be said of an update that were asked for now; see `policy.cadence`."""
        from instar.service.due import early

        return early(self, clock)

    def status(self) -> dict[str, Any]:
        """Say what serves, and where each update stands, newest first."""
        from instar.serving.routefile import read
        from instar.serving.settle import gap

        entry = self.journal.champion(self.project.model)
        found = gap(self.journal, self.project.model, read(self.home))
        return {
            "model": self.project.model,
            "champion": entry.body["name"] if entry else None,
            "since": entry.at if entry else None,
            "metrics": dict(entry.body["metrics"]) if entry else {},
            "traffic": {"problem": found.problem, "next": found.todo} if found else None,
            "due": self._when_due() if entry else None,
            "queued": self._queued(),
            "updates": self.updates(),
        }

    def _when_due(self) -> dict[str, Any]:
        done = self.due()
        return {key: done[key] for key in ("due", "reason", "at", "rows")}

    def _queued(self) -> list[dict[str, Any]]:
        from instar.ledger import queue

        rows = [
            {"entry": entry.seq, "at": entry.at, **{k: entry.body[k] for k in ("reason", "by")}}
            for entry in queue.waiting(self.journal, self.project.model)
        ]
        named: list[dict[str, Any]] = self._named(rows)
        return named

    def live(self, update: str | None = None) -> dict[str, Any]:
        """Tell where a release stands at this moment; see `live.live`.

        Without a name it is the release that is under way, else the last update.

        Raises:
            UnknownUpdate: there is no such update, or none at all.
        """
        from instar.service.live import live, newest

        named = update or (newest(self) if self._begun else None)
        if named is None:
            raise UnknownUpdate("", [])
        found: dict[str, Any] = self._named(live(self, named))
        return found

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
        shown: list[dict[str, Any]] = self._named(rows[::-1])
        return shown

    def scrub(self, *, tell: Tell | None = None) -> dict[str, Any]:
        """Hash every artifact, mend what can be mended, and look for what is missing."""
        from instar.service.store import scrub

        return scrub(self, tell)

    def collect(self, *, dry: bool = False, tell: Tell | None = None) -> dict[str, Any]:
        """Remove the artifacts that nobody needs; with `dry` only tell which."""
        from instar.service.store import collect

        return collect(self, tell, dry=dry)

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
        story = gather(
            state,
            self.version(state.request.champion),
            self.champion().name,
            metrics[0] if metrics else "",
            self.journal.entries(update=update),
        )
        return render(self._named(story))

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
