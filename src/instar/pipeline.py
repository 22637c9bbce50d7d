"""The stages in order, and the runner: the one place that knows them all.

A stage's signature is its place in the journey: the runner hands it the records it asks for, by
type, the section of the policy that bears its name, and tools. It appends the record that comes
back and goes on only after PASS, or after an INCONCLUSIVE that people have overridden. Every
record is filed under its stage key, a digest of all that went in, so that a stage that is run
again with the same inputs adopts what is recorded.
"""

from __future__ import annotations

import inspect
import shutil
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from instar import __version__
from instar.core.codec import encode
from instar.core.digest import digest_json
from instar.core.errors import InputError
from instar.core.finding import Verdict
from instar.core.policy import Policy
from instar.core.records import (
    Admission,
    Approval,
    Bundle,
    ModelVersion,
    Phase,
    Release,
    Request,
    Training,
    Validation,
    Vote,
    successor,
)
from instar.core.tools import Tools
from instar.core.update import KINDS, Update, replay
from instar.ledger.journal import Entry, Journal
from instar.ledger.versions import version
from instar.stages.admit import admit
from instar.stages.approve import approve
from instar.stages.package import package
from instar.stages.plan import plan
from instar.stages.release import release
from instar.stages.train import train
from instar.stages.validate import validate

Votes = tuple[Vote, ...]


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


def last_of(record: type) -> Any:
    """Name the type of a stage's own last record: `Release | None`."""
    return record | None


class Runner:
    """Carry one update from where the ledger says it stands to where it must stop."""

    def __init__(
        self, journal: Journal, policy: Policy, tools: Tools, *, actor: str, epoch: int | None
    ) -> None:
        self.journal, self.policy, self.tools = journal, policy, tools
        self.actor, self.epoch = actor, epoch

    def update(self, update: str) -> Update:
        """Replay the ledger."""
        return replay(self.journal.entries(update=update))

    def champion(self, request: Request) -> ModelVersion:
        """Find the version that was champion when the update was asked for."""
        return version(self.journal, request.model, request.champion)

    def run(self, update: str, *, until: str = "approve") -> Update:
        """Run the stages up to and with `until`, as far as verdicts allow.

        A stage that has its record is not run again; people may change their mind, so that
        `approve` is, as long as it waits; `release` is until it has ended.
        """
        last = 1 + [stage.name for stage in STAGES].index(until)
        for before, stage in zip((None, *STAGES), STAGES[:last], strict=False):
            state = self.update(update)
            if not (state.state.open and may_follow(before, stage, state)):
                break
            if stage.name == "release":
                self._release(stage, state)
            elif not _settled(stage, state):
                self._once(stage, state)
        return self.update(update)

    def _inputs(self, stage: Stage, state: Update) -> dict[str, Any]:
        lent: dict[Any, Any] = dict(state.records)
        lent[ModelVersion] = self.champion(state.request)
        lent[Votes] = state.votes
        lent[last_of(stage.makes)] = state.records.get(stage.makes)
        return {name: lent[hint] for name, hint in stage.needs.items()}

    def _key(self, stage: Stage, inputs: Mapping[str, Any], update: str) -> str:
        section = getattr(self.policy, stage.name)
        given = {name: digest_json(encode(value)) for name, value in inputs.items()}
        return digest_json([update, stage.name, given, encode(section), __version__])

    def _call(self, stage: Stage, inputs: Mapping[str, Any], scratch: Path) -> Any:
        scratch.mkdir(parents=True, exist_ok=True)
        tools = replace(self.tools, scratch=scratch)
        return stage.run(**inputs, policy=getattr(self.policy, stage.name), tools=tools)

    def _once(self, stage: Stage, state: Update) -> None:
        inputs = self._inputs(stage, state)
        key = self._key(stage, inputs, state.request.update)
        self.tools.progress(stage.name, note="begins")
        scratch = self.tools.scratch / key.removeprefix("sha256:")[:16]
        record = self._call(stage, inputs, scratch)
        self._append(stage.kind, record, state.request, key)
        shutil.rmtree(scratch, ignore_errors=True)
        self.tools.progress(stage.name, 1, 1, record.verdict.value)

    def _append(self, kind: str, record: Any, request: Request, key: str | None) -> Entry:
        return self.journal.append(
            kind,
            encode(record),
            update=request.update,
            model=request.model,
            actor=self.actor,
            key=key,
            epoch=self.epoch,
        )

    def _release(self, stage: Stage, state: Update) -> None:
        """Tick until the release has ended; file every move, not every look."""
        scratch = self.tools.scratch / "release"
        if state.get(Release) is None:
            self._reigning(state.request)
        while state.state.open:
            last = state.get(Release)
            if last is not None and last.phase is Phase.PROMOTING:
                self._promote(state)
            now: Release = self._call(stage, self._inputs(stage, state), scratch)
            if moved(last, now):
                self._append(stage.kind, now, state.request, None)
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
        made = successor(
            request,
            self.champion(request),
            state.records[Admission],
            state.records[Training],
            state.records[Bundle],
            state.records[Validation],
        )
        self.journal.promote(
            request.model,
            expect=self._reigning(request).seq,
            kind="promotion",
            body=encode(made),
            update=request.update,
            actor=self.actor,
            epoch=self.epoch,
            key=f"promotion:{request.update}",
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


def _settled(stage: Stage, state: Update) -> bool:
    record = state.records.get(stage.makes)
    if isinstance(record, Approval) and record.votes != state.votes:
        return False  # somebody spoke since
    waits = stage.name == "approve" and record is not None and record.verdict is not Verdict.PASS
    return record is not None and not waits


def moved(last: Release | None, now: Release) -> bool:
    """Tell whether a tick changed more than counts."""
    if last is None:
        return True
    return (last.phase, last.step, last.verdict, dict(last.shares)) != (
        now.phase,
        now.step,
        now.verdict,
        dict(now.shares),
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
