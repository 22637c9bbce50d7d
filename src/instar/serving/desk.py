"""What a worker does for a request, without a socket: choose who answers, have it answered, count.

A candidate that fails costs nobody an answer: the failure is counted against it, and the champion
answers in its place.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import msgspec

from instar.bundle.columns import NUMBERS
from instar.core.data import Task
from instar.core.errors import BackendError, InputError, InstarError
from instar.serving.answers import Writer
from instar.serving.batching import Job, Parts, Runner, Scores
from instar.serving.cache import Cache
from instar.serving.connection import Done, Reply, never
from instar.serving.lanes import MOST
from instar.serving.mirror import Mirror
from instar.serving.mistakes import InvalidAnswer, NotReady, TooMany, broken, failure
from instar.serving.models import Shelf, UnknownVersion, Version
from instar.serving.odd import Odd, odd_of
from instar.serving.protocol import Malformed
from instar.serving.recall import Recall
from instar.serving.recorder import Recorder
from instar.serving.redis import Redis
from instar.serving.routing import BUCKETS
from instar.serving.slots import OUTCOMES, Block, Tally
from instar.serving.tensors import Columns, Reading
from instar.tasks import form_of
from instar.tasks.form import Told, Truth

# One line of the log: kind, id, version, generation, share, milliseconds, outcome, scores.
Event = tuple[str, str, str, int, float, float, str, Sequence[Sequence[float]]]

_MET = 100_000  # units that a worker tells apart under one route; later ones are not counted
# Takes a request that was answered, and what is kept of its rows.
Onlooker = Callable[[Job, Sequence[Sequence[float]]], None]

PATIENCE_S = 10.0  # that a request waits in a queue, unless it says otherwise
_OK, _ERROR, _INVALID = range(3)  # places in `slots.OUTCOMES`


class Item(msgspec.Struct):
    """What is said of an answer, under the id of its request: its true label, or a complaint.

    `report` is a user's complaint that comes without a label; its words are not kept.
    """

    id: str
    label: Told | msgspec.UnsetType = msgspec.UNSET
    report: str | bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One version under one route, with everything that an answer of it needs.

    `width` is how many columns it reads, `numeric` whether all of them may come as one matrix.
    """

    version: Version
    generation: int
    share: float
    tally: Tally
    reading: Reading
    writer: Writer
    runner: Runner
    odd: Odd | None = None
    width: int = 0
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Floor:
    """What is in force, as a request meets it: replaced as a whole.

    `buckets` holds an arm for each of the 10,000 buckets; `named` those for requests that name
    their version, which are counted apart from the route's traffic. `met` are the units that this
    worker has seen, as long as several versions share them; None where one has them all.
    """

    shelf: Shelf
    champion: Arm
    buckets: tuple[Arm, ...]
    named: Mapping[str, Arm]
    met: set[int] | None = None

    def find(self, name: str) -> Arm:
        """Return a loaded version by name; the champion for an empty one.

        Raises:
            UnknownVersion: it is not loaded.
        """
        name = name or self.champion.version.name
        if name not in self.named:
            raise UnknownVersion(name, self.named)
        return self.named[name]


class Desk:
    """Answer the requests that come to one worker.

    Args:
        part: Which of how many parts of the units this worker counts, so that none counts twice.
    """

    def __init__(
        self,
        model: str,
        block: Block,
        cache: int = 0,
        part: tuple[int, int] = (0, 1),
        redis: Redis | None = None,
    ) -> None:
        self.model, self.block = model, block
        self.cache = Cache(cache)
        self._recall = Recall(self.cache, redis, self._found, self._refuse)
        self.floor: Floor | None = None
        self.events: list[Event] = []
        self.missing: dict[str, Counter[str]] = {}
        self.rescued: Counter[str] = Counter()
        self.refused = 0
        self.inside = 0  # requests that are being answered
        self.mirror: Mirror | None = None  # shows answered requests to shadows, where there are any
        self.recorder: Recorder | None = None  # keeps some answers, where that is asked for
        self.onlookers: tuple[Onlooker, ...] = ()  # take what was answered, after the reply
        self._runners: dict[str, Runner] = {}
        self._unnamed = secrets.randbits(48)
        self._part = part

    def take(self, shelf: Shelf) -> None:
        """Put a shelf in force. Requests that began on the one before end there."""
        route = shelf.route
        manifests = {version.manifest for version in shelf.versions.values()}
        runners = {
            version.manifest: self._runners.get(version.manifest)
            or Runner(version.bundle, version.cost_s, self._settle, self._refuse)
            for version in shelf.versions.values()
        }

        def arm(name: str, generation: int, share: float) -> Arm:
            version = shelf.versions[name]
            return Arm(
                version,
                generation,
                share,
                self.block.tally(name, generation, share),
                Reading(version.inputs, version.packed, shelf.known),
                Writer(self.model, name, version.bundle.task),
                runners[version.manifest],
                odd_of(version.bundle.task, version.bundle.schema),
                len(version.inputs),
                version.packed.keys() == {"numbers"},
            )

        spans = shelf.router.spans
        arms = {
            name: arm(name, route.generation, route.shares.get(name, 0.0))
            for name in dict.fromkeys((route.champion, *(owner for owner, _ in spans)))
        }
        named = {name: arm(name, 0, 0.0) for name in shelf.versions}
        for manifest in self._runners.keys() - manifests:
            self._runners[manifest].close()
        self._runners = runners
        for name, one in named.items():
            one.runner.mark = None if name == route.champion else self._mark
        for lane in (0, 1):
            self.block.leave(lane)
        self._look(shelf, named)
        # Requests wait meanwhile: the 10,000 buckets are filled without a step of Python for each.
        buckets = tuple(chain.from_iterable(repeat(arms[owner], size) for owner, size in spans))
        met = set[int]() if len(spans) > 1 else None
        self.floor = Floor(shelf, named[route.champion], buckets, named, met)
        self.block.acknowledge(route.generation, os.getpid())

    def _look(self, shelf: Shelf, named: dict[str, Arm]) -> None:
        """Have looked on who wants to: without a shadow, nobody is asked."""
        if self.mirror is None:
            return
        self.onlookers = tuple(look for look in self.onlookers if look != self.mirror.see)
        if self.mirror.take(shelf, named):
            self.onlookers = (*self.onlookers, self.mirror.see)

    def _mark(self, jobs: Sequence[Job], thread: bool) -> None:  # noqa: FBT001 - see `Mark`
        """Note in shared memory which version runs, in case that it ends the process."""
        lane = int(thread)
        if jobs:
            self.block.enter(jobs[0].arm.tally.at, len(jobs), lane)
        else:
            self.block.leave(lane)

    @property
    def stuck(self) -> bool:
        """Tell whether a version in a thread of its own hangs."""
        return any(runner.stuck for runner in self._runners.values())

    def ready(self) -> Floor:
        """Return what is in force.

        Raises:
            NotReady: nothing is.
        """
        if self.floor is None:
            raise NotReady(self.model)
        return self.floor

    # --- predictions --------------------------------------------------------------------------

    def predict(
        self,
        read: Callable[[Arm], Columns],
        write: Callable[[Arm, Scores, int, list[list[float]]], Reply],
        done: Done,
        *,
        unit: str,
        name: str,
        pinned: str = "",
        patience_s: float = PATIENCE_S,
        gone: Callable[[], bool] = never,
    ) -> None:
        """Have one request answered.

        Args:
            read: Takes the columns that a version reads out of the request.
            write: Makes the reply out of the scores of a run, the first row that is this request's,
                and what is kept of its rows, as lists.
            done: Is given the reply, at the end of this turn of the loop or later.
            unit: Whose request it is; empty: nobody's, chance decides.
            name: The request's id, under which labels find it; empty: none ever will.
            pinned: The version that must answer; empty: the route chooses.
            patience_s: How long it waits in a queue.
            gone: Tells whether its client has left, and nobody waits any more.
        Raises:
            NotReady: no version is in service.
            UnknownVersion: the pinned version is not loaded.
            InputError: the request does not fit the champion.
            Overloaded: it would have to wait too long.
        """
        floor = self.floor or self.ready()
        if self.inside >= MOST["predict"]:
            raise TooMany("predict", MOST["predict"])
        began = time.perf_counter()
        job = Job(read, write, done, name, patience_s, began, pinned=bool(pinned), gone=gone)
        if pinned:
            arm = floor.find(pinned)
        else:
            if not unit:
                self._unnamed += 1
                unit = f"\0{self._unnamed}"
            place = floor.shelf.router.place(unit)
            arm = floor.buckets[place % BUCKETS]
            if floor.met is not None:
                self._meet(floor.met, arm, place)
        self.inside += 1
        try:
            self._begin(job, arm)
        except BaseException:
            self.inside -= 1
            raise

    def _begin(self, job: Job, arm: Arm) -> None:
        try:
            job.take(arm)
        except InstarError as error:
            if not self._rescuable(job, arm):
                raise
            self._rescue(job, arm, error)
            return
        if self.cache.size:
            self._recall.ask(job)
        else:
            arm.runner.submit(job)

    def _meet(self, met: set[int], arm: Arm, place: int) -> None:
        """Count a unit once: that, and not requests, is what chance divides."""
        mine, of = self._part
        if (place >> 32) % of == mine and place not in met and len(met) < _MET:
            met.add(place)
            arm.tally.met()

    def _found(self, job: Job, scores: Scores) -> None:
        """Answer by what was answered before."""
        rows = job.arm.writer.form.kept(scores).tolist()
        self._answer(job, scores, 0, rows, time.perf_counter())

    def _rescuable(self, job: Job, arm: Arm) -> bool:
        floor = self.floor
        return (
            not job.pinned
            and floor is not None
            and (arm.version is not floor.champion.version and job.first is None)
        )

    def _rescue(self, job: Job, arm: Arm, error: InstarError) -> None:
        """Let the champion answer; a request that it refuses too was the client's mistake."""
        job.first = (arm, error)
        if job.key:
            self._recall.lost(job)
        champion = self.ready().champion
        job.take(champion)
        champion.runner.submit(job)

    def _settle(self, jobs: Sequence[Job], scores: Scores | None, parts: Parts) -> None:
        """Send the answers of one run."""
        now = time.perf_counter()
        arm = jobs[0].arm
        arm.tally.ran()
        kept = arm.writer.form.kept
        if scores is not None:
            rows = kept(scores).tolist()
            counted = len(rows) == len(jobs) and self._count(jobs, rows, now)
            at = 0
            for job in jobs:
                end = at + job.piece.rows
                self._answer(job, scores, at, rows[at:end], now, counted=counted)
                at = end
            return
        for job, part in zip(jobs, parts, strict=True):
            if isinstance(part, InstarError):
                self._fail(job, part)
            else:
                self._answer(job, part, 0, kept(part).tolist(), now)

    def _count(self, jobs: Sequence[Job], rows: list[list[float]], now: float) -> bool:
        """Count and log a run of good answers as a whole, where they are all alike.

        Args:
            rows: One of each job.
        """
        arm = jobs[0].arm
        if arm.odd is not None or not arm.writer.classes:
            return False
        if any(job.arm is not arm or job.first is not None for job in jobs):
            return False
        times = [1000 * (now - job.started) for job in jobs]
        arm.tally.answered(times, [row[1] if len(row) == 2 else max(row) for row in rows])
        who, generation, share, words = arm.version.name, arm.generation, arm.share, OUTCOMES[_OK]
        self.events += [
            ("answered", job.name, who, generation, share, milliseconds, words, (row,))
            for job, milliseconds, row in zip(jobs, times, rows, strict=True)
        ]
        return True

    def _answer(
        self,
        job: Job,
        scores: Scores,
        at: int,
        rows: list[list[float]],
        now: float,
        *,
        counted: bool = False,
    ) -> None:
        try:
            arm, columns = job.arm, job.columns
            # A matrix of all that a version reads is the one short request that lacks nothing.
            if len(columns) < arm.width and not (arm.numeric and NUMBERS in columns):
                self._miss(arm.version, columns)
            if not counted:
                if job.first is not None:
                    failed, error = job.first
                    self._record(failed, job, _outcome(error), now, "", ())
                    self.rescued[failed.version.name] += 1
                self._record(arm, job, _OK, now, job.name, rows)
            reply = job.write(arm, scores, at, rows)
        except Exception as error:  # noqa: BLE001 - it is told in the log, and as a 500
            reply = self._reply(error)
        self._done(job, reply)
        if job.key:
            self._recall.landed(job, scores[at : at + len(rows)])
        if self.onlookers and not job.pinned:
            self._shown(job, rows)

    def _shown(self, job: Job, rows: Sequence[Sequence[float]]) -> None:
        """Show a request that was answered to those who look on: whatever they do, it is over."""
        for look in self.onlookers:
            try:
                look(job, rows)
            except Exception:
                logging.getLogger("instar.serving").exception("an onlooker failed")

    def _record(
        self,
        arm: Arm,
        job: Job,
        outcome: int,
        now: float,
        name: str,
        rows: Sequence[Sequence[float]],
    ) -> None:
        milliseconds = 1000 * (now - job.started)
        tally = arm.tally
        tally.count(milliseconds, outcome, len(rows))
        for row in rows if arm.writer.classes else ():
            tally.score(row[1] if len(row) == 2 else max(row))
        if outcome == _OK and arm.odd is not None:
            tally.odd(*arm.odd(rows))
        who = arm.version.name
        words = OUTCOMES[outcome]
        self.events.append(
            ("answered", name, who, arm.generation, arm.share, milliseconds, words, rows)
        )

    def _miss(self, version: Version, columns: Columns) -> None:
        absent = version.absent(columns)
        if absent:
            self.missing.setdefault(version.name, Counter()).update(absent)

    def _refuse(self, job: Job, error: InstarError) -> None:
        """Send a job away that waited too long; no version is to blame."""
        self._done(job, self._reply(error))
        if job.key:
            self._recall.lost(job)

    def _fail(self, job: Job, error: InstarError) -> None:
        """Answer a job whose version failed, or have the champion answer."""
        try:
            if self._rescuable(job, job.arm):
                self._rescue(job, job.arm, error)
                return
            if isinstance(error, BackendError):
                # With a candidate that failed before, it is the candidate's failure that counts.
                arm, first = job.first or (job.arm, error)
                self._record(arm, job, _outcome(first), time.perf_counter(), "", ())
        except InstarError as other:
            error = other
        self._done(job, self._reply(error))
        if job.key:
            self._recall.lost(job)

    def _done(self, job: Job, reply: Reply) -> None:
        self.inside -= 1
        try:
            job.done(reply)
        except Exception:  # one client's connection is no reason to leave the others of a run
            logging.getLogger("instar.serving").exception("an answer was not sent")

    def _reply(self, error: Exception) -> Reply:
        if isinstance(error, InstarError):
            self.refused += isinstance(error, InputError)
            return failure(error)
        logging.getLogger("instar.serving").error("an answer failed", exc_info=error)
        return broken()

    # --- labels -------------------------------------------------------------------------------

    def truths(self, items: Sequence[Item]) -> tuple[list[tuple[str, Truth]], list[dict[str, str]]]:
        """Turn labels into numbers, each by itself: those that can be, and what is wrong.

        Raises:
            NotReady: no version is in service, so that nobody knows what a label may be.
            Malformed: an item holds neither a label nor a complaint.
        """
        task = self.ready().champion.version.bundle.task
        if any(item.report is False and item.label is msgspec.UNSET for item in items):
            raise Malformed("a label or a report in each item", "neither")
        found, refused = [], []
        for item in items:
            if isinstance(item.label, msgspec.UnsetType):
                continue
            try:
                found.append((item.id, truth(item.label, task)))
            except InputError as error:
                refused.append({"id": item.id, "error": str(error)})
                continue
            if self.recorder:
                self.recorder.label(*found[-1], task)
        return found, refused


def truth(label: Told, task: Task) -> Truth:
    """Turn a label into what is kept of it: its class's index, or for a regression the value.

    Raises:
        UnknownName: the task has no such class.
        WrongLabel: it is no label of this kind of task.
    Example:
        >>> from instar.core.data import TaskKind
        >>> truth(True, Task(TaskKind.BINARY, "late", ("false", "true")))
        1.0
    """
    return form_of(task).truth(label, task)


def _outcome(error: InstarError) -> int:
    return _INVALID if isinstance(error, InvalidAnswer) else _ERROR
