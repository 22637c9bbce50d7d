"""Runs of a model over the rows of several requests that came together.

There is no window to wait in: requests that the loop reads in one turn are answered by one run at
the end of this turn, so that a single request waits for nobody. A model that is heavy by its own
measure, or a request of many rows, has a thread of its own, and a queue that is bounded by age:
who would wait longer than they want to is told so at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from instar.bundle.columns import Piece
from instar.bundle.errors import PredictionFailed
from instar.bundle.runtime import ServedBundle
from instar.core.errors import InstarError
from instar.serving.connection import never
from instar.serving.mistakes import ClientGone, InvalidAnswer, Overloaded

if TYPE_CHECKING:
    from instar.serving.desk import Arm

LIGHT_S = 0.002  # a row that costs less is answered on the loop
INLINE_S = 0.005  # so is a request that costs less as a whole
MOST_ROWS = 32  # of one run: beyond it, batching gains next to nothing and costs latency
HEAVY_ROWS = 8
_EASE = 0.125  # how much of what a row took just now goes into what the next ones are held to take
STUCK_S = 30.0  # a run in a thread that takes longer, and 100 times what it costs, never ends

Scores = NDArray[np.float32]
Parts = Sequence[Scores | InstarError]


class Job:
    """One request on its way to an answer.

    `read` takes the columns that a version reads out of it, `write` makes the reply of scores,
    `done` sends it, `gone` tells whether its client has left. `first` is the candidate that failed
    on it, where the champion answers instead.
    """

    __slots__ = (
        "arm",
        "columns",
        "done",
        "first",
        "gone",
        "key",
        "name",
        "patience_s",
        "piece",
        "pinned",
        "read",
        "started",
        "write",
    )

    def __init__(
        self,
        read: Callable[[Arm], Any],
        write: Callable[..., Any],
        done: Callable[[Any], None],
        name: str,
        patience_s: float,
        started: float,
        *,
        pinned: bool,
        gone: Callable[[], bool] = never,
    ) -> None:
        self.read, self.write, self.done, self.gone = read, write, done, gone
        self.name, self.patience_s, self.started, self.pinned = name, patience_s, started, pinned
        self.first: tuple[Arm, InstarError] | None = None
        self.key = b""  # under which its answer is kept; empty: it is not

    def take(self, arm: Arm) -> None:
        """Read the request as a version wants it.

        Raises:
            InputError: it does not fit.
        """
        self.arm, self.columns = arm, self.read(arm)
        self.piece: Piece = arm.version.bundle.piece(self.columns)


class Question(Protocol):
    """What a run needs of a request."""

    piece: Piece
    columns: Any


# Notes which jobs are about to be run, none once they are, and whether that is in a thread.
Mark = Callable[[Sequence[Job], bool], None]


def work(bundle: ServedBundle, jobs: Sequence[Question]) -> tuple[Scores | None, Parts]:
    """Answer some jobs in one run or, where anything is odd, one by one.

    Returns:
        The scores of all rows, in order; or None and the scores or the mistake of each job.
    """
    try:
        scores = bundle.together([job.piece for job in jobs])
        if scores is not None and np.isfinite(scores).all():
            return scores, ()
    except Exception:  # noqa: BLE001 - a run that fails is repeated job by job
        _log().exception("a run of %s failed", bundle.version)
    return None, [_alone(bundle, job) for job in jobs]


def _alone(bundle: ServedBundle, job: Question) -> Scores | InstarError:
    try:
        scores = bundle.predict(job.columns)
        return scores if np.isfinite(scores).all() else InvalidAnswer(bundle.version)
    except InstarError as error:
        return error
    except Exception:  # noqa: BLE001 - whatever a graph does, it is this version's failure
        _log().exception("an answer of %s failed", bundle.version)
        return PredictionFailed(bundle.version)


class Runner:
    """Give the jobs of one bundle their turn.

    Args:
        bundle: What answers.
        cost_s: Seconds of one row.
        settle: Takes jobs and what `work` gave for them, on the loop.
        refuse: Takes a job that waited too long, and why.
    """

    def __init__(
        self,
        bundle: ServedBundle,
        cost_s: float,
        settle: Callable[[Sequence[Job], Scores | None, Parts], None],
        refuse: Callable[[Job, InstarError], None],
    ) -> None:
        self._bundle, self._cost_s = bundle, cost_s
        self._settle, self._refuse = settle, refuse
        self._loop = asyncio.get_running_loop()
        self._turn: list[Job] = []
        self._turn_rows = 0
        self._queue: deque[Job] = deque()
        self._rows = 0  # that wait or run in the thread
        self._pace_s = cost_s  # of a row there, under the load of this moment
        self._began = 0.0
        self._thread: ThreadPoolExecutor | None = None
        self._busy = self._closed = False
        self._until = 0.0  # by when the thread has to be back
        self.mark: Mark | None = None  # of a version that is not trusted yet

    @property
    def stuck(self) -> bool:
        """Tell whether the thread has been at one run for far too long."""
        return self._busy and time.monotonic() > self._until

    @property
    def heavy(self) -> bool:
        """Tell whether every request has to go to the thread."""
        return self._cost_s > LIGHT_S

    def submit(self, job: Job) -> None:
        """Take a job; its answer comes through `settle`.

        Raises:
            Overloaded: it would wait longer than it wants to.
        """
        rows = job.piece.rows
        if self._cost_s <= LIGHT_S and (rows <= MOST_ROWS or rows * self._cost_s <= INLINE_S):
            if not self._turn:
                self._loop.call_soon(self._flush)
            self._turn.append(job)
            self._turn_rows += rows
            return
        wait_s = self._rows * self._pace_s
        if wait_s > job.patience_s:
            raise Overloaded(job.patience_s, wait_s)
        self._rows += rows
        self._queue.append(job)
        self._next()

    def close(self) -> None:
        """Let the thread end when nothing waits any more."""
        self._closed = True
        self._rest()

    def _rest(self) -> None:
        """A job that began on a route that is gone may still come: it starts another thread."""
        if self._closed and not self._busy and self._thread:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _flush(self) -> None:
        jobs, self._turn = self._turn, []
        rows, self._turn_rows = self._turn_rows, 0
        for some in (jobs,) if rows <= MOST_ROWS else _runs(jobs, MOST_ROWS):
            if self.mark is None:
                self._settle(some, *work(self._bundle, some))
                continue
            self.mark(some, False)
            found = work(self._bundle, some)
            self.mark((), False)
            self._settle(some, *found)

    def _next(self) -> None:
        """Give the thread what waits, as many rows as are worth one run."""
        now = time.perf_counter()
        while self._queue and not self._busy:
            crowded = len(self._queue) > HEAVY_ROWS
            some = next(_runs(self._queue, HEAVY_ROWS))
            for _ in some:
                self._queue.popleft()
            live = [job for job in some if self._awaited(job, now, crowded=crowded)]
            if live:
                self._busy, self._began = True, now
                rows = sum(job.piece.rows for job in live)
                self._until = time.monotonic() + max(STUCK_S, 100 * self._cost_s * rows)
                if self.mark is not None:
                    self.mark(live, True)
                if self._thread is None:
                    self._thread = ThreadPoolExecutor(1, f"run-{self._bundle.version}")
                future = self._thread.submit(work, self._bundle, live)
                future.add_done_callback(partial(self._ran, live))
        self._rest()

    def _awaited(self, job: Job, now: float, *, crowded: bool) -> bool:
        """Tell whether a job's turn comes in time for somebody; else refuse it.

        Where more wait than one run takes, who has closed its side is held to have left: clients
        lose patience and ask again, and what waits may be for nobody.
        """
        error: InstarError
        if crowded and job.gone():
            error = ClientGone()
        elif now - job.started > job.patience_s:
            error = Overloaded(job.patience_s, now - job.started)
        else:
            return True
        self._rows -= job.piece.rows
        self._refuse(job, error)
        return False

    def _ran(self, jobs: list[Job], done: Future[tuple[Scores | None, Parts]]) -> None:
        """Go back from the thread to the loop, which may be gone."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._back, jobs, done)

    def _back(self, jobs: list[Job], done: Future[tuple[Scores | None, Parts]]) -> None:
        self._busy = False
        if self.mark is not None:
            self.mark((), True)
        rows = sum(job.piece.rows for job in jobs)
        self._rows -= rows
        self._pace_s += _EASE * ((time.perf_counter() - self._began) / rows - self._pace_s)
        try:
            self._settle(jobs, *done.result())
        finally:
            self._next()


def _runs(jobs: Sequence[Job] | deque[Job], most: int) -> Any:
    """Cut jobs into runs of at most so many rows; a larger job runs alone."""
    some: list[Job] = []
    rows = 0
    for job in jobs:
        if some and rows + job.piece.rows > most:
            yield some
            some, rows = [], 0
        some.append(job)
        rows += job.piece.rows
    if some:
        yield some


def _log() -> logging.Logger:
    return logging.getLogger("instar.serving")
