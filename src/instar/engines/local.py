"""Processes on this machine."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Failure:
    """An exception taken apart: its class need not know how to be pickled."""

    kind: type[BaseException]
    args: tuple[Any, ...]
    state: dict[str, Any]
    trace: str

    def rebuilt(self) -> BaseException:
        error = self.kind.__new__(self.kind)
        error.args = self.args
        error.__dict__.update(self.state)
        error.add_note(self.trace)
        return error


@dataclass(frozen=True, slots=True)
class _Guarded(Generic[T, R]):
    fn: Callable[[T], R]

    def __call__(self, item: T) -> R | _Failure:
        try:
            return self.fn(item)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller shall have it
            return _Failure(type(error), error.args, vars(error), traceback.format_exc())


class Local:
    """Run a function over items in `workers` processes; one worker runs in the caller's own.

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
