"""The stages in order, and the runner: the one place that knows them all.

A stage's signature is its place in the journey: the runner hands it the records it asks for, by
type, the section of the policy that bears its name, and tools. It appends the record that comes
back and goes on only after PASS, or after an INCONCLUSIVE that people have overridden. Every
record is filed under its stage key, a digest of all that went in, so that a stage that is run
again with the same inputs adopts what is recorded.
"""

from __future__ import annotations

import inspect
import random
import resource
import shutil
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from instar import __version__, provenance
from instar.bundle import trust
from instar.core import memory
from instar.core.clock import LedgerClock
from instar.core.codec import encode, filed
from instar.core.crash import crashpoint
from instar.core.digest import digest_json
from instar.core.errors import BackendError, InputError, Interrupted
from instar.core.finding import Verdict
from instar.core.policy import Policy
from instar.core.records import (
    Admission,
    Approval,
    Bundle,
    ModelVersion,
    Orders,
    Past,
    Phase,
    Release,
    Request,
    Rungs,
    Training,
    Validation,
    Vote,
    successor,
)
from instar.core.tools import Tools
from instar.core.update import KINDS, Update, replay
from instar.ledger.journal import Entry, Hold, Journal, TakenKey
from instar.ledger.outcomes import outcomes
from instar.ledger.versions import made as entry_of
from instar.ledger.versions import version
from instar.ledger.work import work
from instar.stages.admit import admit
from instar.stages.approve import approve
from instar.stages.package import package
from instar.stages.plan import plan
from instar.stages.release import release
from instar.stages.train import train
from instar.stages.validate import validate

Votes = tuple[Vote, ...]
BEHIND_S = 60.0  # that a clock may stand behind the ledger before its word counts for nothing


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its function, the record it makes, and what it asks for."""

    name: str
    run: Callable[..., Any]
    makes: type
    needs: Mapping[str, Any]
    kind: str


def _stage(run: Callable[..., Any]) -> Stage:
    hints = typing.get_type_hints(run)
    needs = {
        name: hints[name]
        for name, parameter in inspect.signature(run).parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    }
    makes = hints["return"]
    kind = next(kind for kind, record in KINDS.items() if record is makes)
    return Stage(run.__name__, run, makes, needs, kind)


STAGES: tuple[Stage, ...] = tuple(
    _stage(run) for run in (admit, plan, train, package, validate, approve, release)
)


Guard = Callable[[str], AbstractContextManager[None]]


def unwatched(_: str) -> AbstractContextManager[None]:
    """Let a stage work with nobody looking."""
    return nullcontext()


Seen = Callable[[str, Release], None]


def unseen(_update: str, _now: Release) -> None:
    """Show a look to nobody."""


def last_of(record: type) -> Any:
    """Name the type of a stage's own last record: `Release | None`."""
    return record | None


_MADE_OF = {
    name: hint for name, hint in typing.get_type_hints(successor).items() if name != "return"
}
"""What a promoted version is made of."""


class Runner:
    """Carry one update from where the ledger says it stands to where it must stop.

    Args:
        guard: Watches over the work of a stage, which it is given by its key.
        seen: Shown every look of a release, whether or not it is filed.
    """

    def __init__(
        self,
        journal: Journal,
        policy: Policy,
        tools: Tools,
        *,
        actor: str,
        epoch: int | None,
        guard: Guard = unwatched,
        seen: Seen = unseen,
    ) -> None:
        self.journal, self.policy, self.tools = journal, policy, tools
        self.actor, self.epoch = actor, epoch
        self._guard, self._seen = guard, seen
        self._attempts: dict[str, int] = {}
        self._dated = 0.0

    def update(self, update: str) -> Update:
        """Replay the ledger."""
        entries = self.journal.entries(update=update)
        votes = [place for place, entry in enumerate(entries) if entry.kind == "vote"]
        since = entries[votes[-1] if votes else 0 :]
        self._dated = max((entry.at for entry in since), default=0.0)
        return replay(entries)

    def _behind(self) -> float:
        """Seconds that the clock stands behind what was written since the last vote."""
        return self._dated - self.tools.clock.now()

    def champion(self, request: Request) -> ModelVersion:
        """Find the version that was champion when the update was asked for."""
        return version(self.journal, request.model, request.champion)

    def run(self, update: str, *, until: str = "approve") -> Update:
        """Run the stages up to and with `until`, as far as verdicts allow.

        A stage that has its record is not run again; people may change their mind, so that
        `approve` is, as long as it waits; `release` is until it has ended.
        """
        last = 1 + [stage.name for stage in STAGES].index(until)
        state = self.update(update)
        self._note_the_clock(state)
        while True:
            rungs = len(state.rungs)
            state = self._pass(update, last)
            if len(state.rungs) == rungs:
                return state

    def _pass(self, update: str, last: int) -> Update:
        """Go through the stages once; a refusal that another plan follows is followed later."""
        for before, stage in zip((None, *STAGES), STAGES[:last], strict=False):
            state = self.update(update)
            if not (state.state.open and may_follow(before, stage, state)):
                break
            if self.tools.pulse.stopping():
                raise Interrupted(f"before {stage.name}")
            if stage.name == "release":
                self._release(stage, state)
            elif not _filed(stage, state):
                self._once(stage, state)
        return self.update(update)

    def _inputs(self, stage: Stage, state: Update) -> dict[str, Any]:
        lent: dict[Any, Any] = dict(state.records)
        lent[ModelVersion] = self.champion(state.request)
        lent[Votes] = state.votes
        lent[Orders] = state.orders
        lent[Rungs] = state.rungs
        if Past in stage.needs.values():
            lent[Past] = outcomes(self.journal, state.request)
        lent[last_of(stage.makes)] = state.records.get(stage.makes)
        return {name: lent[hint] for name, hint in stage.needs.items()}

    def _key(self, stage: Stage, inputs: Mapping[str, Any], update: str) -> str:
        section = getattr(self.policy, stage.name)
        given = {name: digest_json(encode(value)) for name, value in inputs.items()}
        return digest_json([update, stage.name, given, encode(section), __version__])

    def _call(self, stage: Stage, inputs: Mapping[str, Any], scratch: Path) -> Any:
        scratch.mkdir(parents=True, exist_ok=True)
        clock = LedgerClock(self.tools.clock, self._dated)
        tools = replace(self.tools, scratch=scratch, clock=clock)
        return stage.run(**inputs, policy=getattr(self.policy, stage.name), tools=tools)

    def again(self, stage: Stage, state: Update) -> Any:
        """Run a stage once more on the inputs that are recorded; nothing is filed."""
        return self._call(stage, self._inputs(stage, state), self.tools.scratch / stage.name)

    def _once(self, stage: Stage, state: Update) -> None:
        """Run a stage, unless its record is there: a reply may have been lost, not the record."""
        inputs = self._inputs(stage, state)
        key = self._key(stage, inputs, state.request.update)
        scratch = self.tools.scratch / key.removeprefix("sha256:")[:16]
        if there := self.journal.by_key(key):
            if (there.kind, there.update) != (stage.kind, state.request.update):
                raise TakenKey(key, there)
            said = str(there.body["verdict"])
        else:
            self._own_code(stage, state.request)
            self.tools.progress(stage.name, note="begins")
            record = self._attempt(stage, inputs, scratch, key, state.request)
            self._append(stage, record, state, key)
            said = record.verdict.value
        crashpoint(f"scratch.{stage.name}")
        shutil.rmtree(scratch, ignore_errors=True)  # what stays costs space: the record is made
        self.tools.progress(stage.name, 1, 1, said)

    def _attempt(
        self, stage: Stage, inputs: Mapping[str, Any], scratch: Path, key: str, request: Request
    ) -> Any:
        """Run a stage after its attempt is counted, and note how it ends without a record.

        Raises:
            Quarantined: it was begun as often as the policy allows.
            OutOfMemory: it asked for more memory than there is.
        """
        allowed = self.policy.run.attempts
        attempt = self.journal.attempt(key, model=request.model, epoch=self.epoch)
        self._attempts[key] = attempt.number
        if attempt.number > allowed:
            raise Quarantined(stage.name, attempt.number - 1, attempt.before)
        if attempt.number > 1:
            ended = attempt.before or KILLED
            note = f"attempt {attempt.number} of {allowed}; the one before ended so: {ended}"
            self.tools.progress(stage.name, note=note)
        try:
            with self._guard(key):
                return self._patiently(stage, lambda: self._call(stage, inputs, scratch))
        except Interrupted as error:
            self.ended(key, str(error), request.model, counts=False)
            self._note(f"{stage.name} was interrupted: {error.got}", request, None)
            raise
        except BackendError as error:
            self.ended(key, str(error), request.model)
            raise
        except Exception as error:
            if memory.ran_out(error):
                raise OutOfMemory(stage.name) from error
            raise

    def ended(self, key: str, reason: str, model: str, *, counts: bool = True) -> None:
        """Note how an attempt ended that left no record."""
        self.journal.attempted(key, reason, model=model, epoch=self.epoch, counts=counts)

    def _patiently(self, stage: Stage, act: Callable[[], Any]) -> Any:
        """Ask a store or server that failed again, after a while that doubles and is shaken."""
        rule = self.policy.run
        for turn in range(1, rule.attempts):
            try:
                return act()
            except BackendError as error:
                if not error.retryable or self.tools.pulse.stopping():
                    raise
                pause = random.uniform(0, rule.backoff_s * 2 ** (turn - 1))
                self.tools.progress(stage.name, note=f"again in {pause:.1f} s: {error}")
                self.tools.clock.sleep(pause)
        return act()

    def _note(self, reason: str, request: Request, key: str | None) -> None:
        self.journal.append(
            "note",
            {"reason": reason},
            update=request.update,
            model=request.model,
            actor=self.actor,
            key=key,
            epoch=self.epoch,
        )

    def _note_the_clock(self, state: Update) -> None:
        """Record, once, that the clock went back."""
        if state.state.open and self._behind() > BEHIND_S:
            reason = f"the clock stands {self._behind():.0f} s behind the ledger"
            key = f"clock:{state.request.update}:{self._dated:.3f}"
            self._note(reason, state.request, key)
            self.tools.progress("clock", note=reason)

    def _append(self, stage: Stage, record: Any, state: Update, key: str | None) -> Entry:
        body = filed(record)
        return self.journal.append(
            stage.kind,
            body,
            update=state.request.update,
            model=state.request.model,
            actor=self.actor,
            key=key,
            epoch=self.epoch,
            work=self._work(stage.name, stage.needs, body, state, self._attempts.get(key or "")),
        )

    def _work(
        self,
        stage: str,
        needs: Mapping[str, Any],
        body: Mapping[str, Any],
        state: Update,
        attempt: int | None = None,
    ) -> dict[str, Any]:
        """Say what made a record: its inputs by the digests of the entries that hold them."""
        request = state.request
        entries = self.journal.entries(update=request.update)
        bodies: dict[Any, Any] = {KINDS[e.kind]: e.body for e in entries if e.kind in KINDS}
        bodies |= {last_of(record): body for record, body in bodies.items()}
        bodies[ModelVersion] = entry_of(self.journal, request.model, request.champion).body
        said = {kind: [e.body for e in entries if e.kind == kind] for kind in ("vote", "order")}
        bodies[Votes] = said["vote"][: len(state.votes)]  # people may have spoken since
        bodies[Orders] = said["order"][: len(state.orders)]
        bodies[Rungs] = filed(state.rungs)
        if Past in needs.values():
            bodies[Past] = filed(outcomes(self.journal, request))
        return work(
            stage,
            body,
            owner=self._owner(stage, request),
            inputs={name: digest_json(bodies.get(hint)) for name, hint in needs.items()},
            policy=digest_json(encode(getattr(self.policy, stage))),
            code=provenance.code(),
            attempt=attempt,
        )

    def _owner(self, stage: str, request: Request) -> str:
        """Say who answers for a stage, under their pseudonym."""
        named = self.policy.run.owners.get(stage)
        return self.journal.person(named) if named else request.by

    def _own_code(self, stage: Stage, request: Request) -> None:
        """See that the function of the network is the one that the update was asked for with."""
        network = request.network
        if stage.name == "approve" or network.build is None:
            return
        if provenance.module(network.build, self.tools.project) != network.source:
            raise NetworkChanged(request.update, network.build)

    def _release(self, stage: Stage, state: Update) -> None:
        """Tick until the release has ended; file every move, not every look."""
        scratch = self.tools.scratch / "release"
        if state.get(Release) is None:
            self._reigning(state.request)
            self._still_approved(state)
        while state.state.open:
            if self.tools.pulse.stopping():
                raise Interrupted("in a release, which keeps its shares of the traffic")
            last = state.get(Release)
            if last is not None and last.phase is Phase.PROMOTING:
                self._promote(state)
            now: Release = self._call(stage, self._inputs(stage, state), scratch)
            self._seen(state.request.update, now)
            if moved(last, now):
                key = f"release:{state.request.update}:{len(state.releases) + 1}"
                self._append(stage, now, state, key)
            ended = now.phase in (Phase.PROMOTED, Phase.ROLLED_BACK)
            self.tools.progress("release", ended, ended, f"{now.phase.value}: {now.reason}")
            state = self.update(state.request.update)
            if ended:
                return
            self.tools.clock.sleep(self.policy.release.tick_s)

    def _reigning(self, request: Request) -> Entry:
        """Find the champion's entry, as long as it is the one the update was held against."""
        entry = self.journal.champion(request.model)
        name = entry.body["name"] if entry else "none"
        if entry is None or name != request.champion:
            raise Overtaken(request.update, request.champion, name)
        return entry

    def _still_approved(self, state: Update) -> None:
        """See that an approval holds by any clock: one that went back prolongs nothing."""
        approval = state.records[Approval]
        if self._behind() > BEHIND_S:
            raise ApprovalVoid(
                state.request.update, f"a clock {self._behind():.0f} s behind the ledger"
            )
        now = max(self.tools.clock.now(), self._dated)
        if approval.expires_at is not None and approval.expires_at < now:
            raise ApprovalVoid(state.request.update, "one that has expired")

    def _still_champion(self, request: Request, candidate: str) -> None:
        """See that nobody rolled back between the promotion and the move of the traffic."""
        entry = self.journal.champion(request.model)
        if entry is None or entry.body["name"] != candidate:
            raise Overtaken(request.update, candidate, entry.body["name"] if entry else "none")

    def _promote(self, state: Update) -> None:
        request = state.request
        if state.promoted:
            self._still_champion(request, state.records[Bundle].version)
            return
        bundle = state.records[Bundle]
        signer = self.tools.signer
        keys = signer.trusted if signer else ()
        trust.verify(self.tools.artifacts, bundle.manifest, bundle.signature, keys)
        made = successor(
            request,
            self.champion(request),
            state.records[Admission],
            state.records[Training],
            bundle,
            state.records[Validation],
        )
        hold_s = self.policy.release.hold_s
        body = filed(made)
        self.journal.promote(
            request.model,
            expect=self._reigning(request).seq,
            kind="promotion",
            body=body,
            update=request.update,
            actor=self.actor,
            epoch=self.epoch,
            # An approval is of one update, and an update is promoted once: this key spends it.
            key=f"promotion:{request.update}",
            hold=Hold(hold_s, *self.tools.clock.boot()) if hold_s else None,
            work=self._work("release", _MADE_OF, body, state),
        )


def may_follow(before: Stage | None, stage: Stage, state: Update) -> bool:
    """Tell whether a stage may begin: after PASS, or where people can let an INCONCLUSIVE pass."""
    if before is None:
        return True
    record = state.records.get(before.makes)
    if record is None:
        return False
    if before.makes is Validation and record.verdict is Verdict.INCONCLUSIVE:
        return bool(state.votes)
    return bool(record.verdict is Verdict.PASS)


def _filed(stage: Stage, state: Update) -> bool:
    record = state.records.get(stage.makes)
    if isinstance(record, Approval) and record.votes != state.votes:
        return False  # somebody spoke since
    waits = stage.name == "approve" and record is not None and record.verdict is not Verdict.PASS
    return record is not None and not waits


def moved(last: Release | None, now: Release) -> bool:
    """Tell whether a tick changed more than counts."""
    return last is None or _standing(last) != _standing(now)


def _standing(at: Release) -> tuple[Any, ...]:
    """Name what of a release is more than counts; whatever the next tick goes by is filed."""
    return (
        at.phase,
        at.paused,
        at.step,
        at.verdict,
        dict(at.shares),
        at.orders,
        dict(at.fails),
        at.blind,
    )


KILLED = "without a word, as a process does that is killed: out of memory, a crash, a power cut"


class Quarantined(BackendError):
    """Give an update up whose stage was begun again and again, and never left a record."""

    code = "update.quarantined"

    def __init__(self, stage: str, times: int, last: str) -> None:
        super().__init__(
            f"a record from {stage}",
            f"none after {times} attempts, the last of which ended: {last or KILLED}",
            "the champion serves on; find the reason, then ask again: instar update DATA",
        )


class OutOfMemory(BackendError):
    """Report a stage that asked for more memory than there is."""

    code = "update.out_of_memory"

    def __init__(self, stage: str) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        super().__init__(
            f"memory for {stage}",
            f"none beyond the {peak:,.0f} MB that it had at its peak",
            "lower policy.train.batch, give the process more, or bring fewer rows",
        )


class ApprovalVoid(InputError):
    """Refuse to begin a release under an approval that does not hold any more."""

    code = "update.approval_void"

    def __init__(self, update: str, got: str) -> None:
        super().__init__(
            "a valid approval", got, f"see to the clock, or ask again: instar approve {update}"
        )


class NetworkChanged(InputError):
    """Refuse to run another network than the one that the update was asked for with.

    The update stays open: it goes on as soon as the file is what it was.
    """

    code = "update.network_changed"

    def __init__(self, update: str, build: str) -> None:
        super().__init__(
            f"`{build}` as it was when {update} was asked for",
            "another content of its file",
            f"restore the file and run `instar resume {update}`, or withdraw the update: "
            f"`instar abort {update} --reason TEXT`",
        )


class Overtaken(InputError):
    """Refuse to move traffic for an update, since the champion is another by now."""

    code = "update.overtaken"

    def __init__(self, update: str, wanted: str, champion: str) -> None:
        super().__init__(
            f"{wanted} as the champion, as {update} has it",
            champion,
            "ask for a new update against today's champion",
        )
