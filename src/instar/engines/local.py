"""Processes on this machine."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar, cast

from instar.core.tools import WorkerLost

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Failure:
    """An exception taken apart: its class need not know how to be pickled."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: dict[str, Any]
    trace: str
    cause: _Failure | None

    @classmethod
    def of(cls, error: BaseException, trace: str = "") -> _Failure:
        cause = cls.of(error.__cause__) if error.__cause__ is not None else None
        return cls(type(error), error.args, vars(error), trace, cause)

    def rebuilt(self) -> BaseException:
        error = self.kind.__new__(self.kind)
        error.args = self.args
        error.__dict__.update(self.state)
        if self.trace:
            error.add_note(self.trace)
        error.__cause__ = self.cause.rebuilt() if self.cause else None
        return error


@dataclass(frozen=True, slots=True)
class _Guarded(Generic[T, R]):
    fn: Callable[[T], R]

    def __call__(self, item: T) -> R | _Failure:
        try:
            return self.fn(item)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller shall have it
            return _Failure.of(error, traceback.format_exc())


def _work(fn: Callable[[Any], Any], item: Any, line: Connection) -> None:
    """Be a process that does one thing, and ends with the one that started it."""
    for order in (signal.SIGTERM, signal.SIGINT):  # they are for the one that started it
        signal.signal(order, signal.SIG_IGN)

    def until_alone() -> None:
        with contextlib.suppress(EOFError, OSError):
            line.recv()  # nothing is ever sent; it ends when the other side does
        os._exit(1)

    threading.Thread(target=until_alone, daemon=True).start()
    line.send(_Guarded(fn)(item))


class LocalJob(Generic[R]):
    """A function at work on one item in a process of its own; see `instar.core.tools.Job`."""

    def __init__(self, fn: Callable[[T], R], item: T, name: str = "a worker") -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self._line, theirs = context.Pipe()
        # No daemon, for those have no children: a trial may have workers of its own.
        self._process = context.Process(target=_work, args=(fn, item, theirs))
        self._process.start()
        theirs.close()
        atexit.register(self.end)
        self._came: list[R | _Failure] = []

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    def done(self) -> bool:
        """Tell whether it has ended, in whatever way."""
        return bool(self._came) or bool(wait([self._line, self._process.sentinel], timeout=0))

    def result(self) -> R:
        """Wait for what came of it.

        Raises:
            Exception: as the function raised it.
            WorkerLost: the process ended without a word.
        """
        if not self._came:
            try:
                self._came.append(cast("R | _Failure", self._line.recv()))
            except (EOFError, OSError):
                self._process.join()
                raise WorkerLost(self.name, _how(self._process.exitcode)) from None
            self._process.join()
        came = self._came[0]
        if isinstance(came, _Failure):
            raise came.rebuilt()
        return came

    def end(self) -> None:
        """End it, wherever it is."""
        atexit.unregister(self.end)
        self._process.kill()
        self._process.join()
        self._line.close()


class LocalGroup:
    """Processes that work together; see `instar.core.tools.Group`."""

    def __init__(self, jobs: Sequence[LocalJob[Any]]) -> None:
        self._jobs = jobs

    @property
    def pids(self) -> list[int]:
        return [job.pid for job in self._jobs]

    def check(self, within_s: float = 0.0) -> None:
        """See that nobody has failed, or waits so long for it to show.

        Raises:
            Exception: as a worker raised it.
            WorkerLost: one ended without a word.
        """
        ends = [job._process.sentinel for job in self._jobs]  # noqa: SLF001  # its own family
        wait(ends, timeout=within_s)
        for job in self._jobs:
            if job.done():
                job.result()


def _how(code: int | None) -> str:
    """Say how a process ended.

    Example:
        >>> _how(-9), _how(3)
        ('ended by signal 9 (SIGKILL)', 'ended with exit code 3')
    """
    if code is not None and code < 0:
        return f"ended by signal {-code} ({signal.Signals(-code).name})"
    return f"ended with exit code {code}"


class Local:
    """Run functions in processes of this machine; one worker runs in the caller's own.

    Processes are spawned, not forked: a fork of a process with threads, as torch's, can hang.
    """

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return the results in the order of the items.

        Raises:
            Exception: the first failure in that order, as it was raised, with the worker's
                traceback as a note.
        Example:
            >>> Local().map(abs, [-2, 1])
            [2, 1]
        """
        work = list(items)
        workers = min(self.workers, len(work))
        if workers <= 1:
            return [fn(item) for item in work]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            results = list(pool.map(_Guarded(fn), work))
        whole: list[R] = []
        for result in results:
            if isinstance(result, _Failure):
                raise result.rebuilt()
            whole.append(result)
        return whole

    def submit(self, fn: Callable[[T], R], item: T) -> LocalJob[R]:
        """Begin to work on one item, in a process of its own."""
        return LocalJob(fn, item)

    @contextlib.contextmanager
    def group(self, fn: Callable[[T], object], items: Sequence[T]) -> Iterator[LocalGroup]:
        """Begin to work on all items at once, and end whoever still works at the end."""
        jobs: list[LocalJob[object]] = []
        try:
            for rank, item in enumerate(items, 1):
                jobs.append(LocalJob(fn, item, f"worker {rank} of {len(items)}"))
            yield LocalGroup(jobs)
        finally:
            for job in jobs:
                job.end()
