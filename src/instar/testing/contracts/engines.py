"""What every engine must do, so that nobody above it can tell where work runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instar.core.errors import InputError
from instar.core.tools import Engine, WorkerLost


class Odd(InputError):
    """Refuse an odd number; it takes another argument than it is pickled with."""

    code = "input.odd"

    def __init__(self, number: int) -> None:
        super().__init__("an even number", str(number), "add one")
        self.number = number


def half(number: int) -> int:
    """Work on one item."""
    if number % 2:
        raise Odd(number)
    return number // 2


def die(_: int) -> None:
    """End without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def write_and_wait(file: Path) -> None:
    """Show that one is there, and stay."""
    file.write_text(str(os.getpid()))
    time.sleep(600)


class EngineContract:
    """Subclass with `make`, which gives an engine of two workers in processes of their own."""

    @pytest.fixture
    def engine(self) -> Engine:
        return self.make()

    def make(self) -> Engine:
        raise NotImplementedError

    def test_map_gives_results_in_order_and_the_first_failure(self, engine: Engine) -> None:
        assert engine.map(half, [8, 2, 4]) == [4, 1, 2]
        with pytest.raises(Odd) as caught:
            engine.map(half, [2, 5, 7])
        assert caught.value.number == 5

    def test_job_gives_its_result_its_error_or_says_that_it_was_lost(self, engine: Engine) -> None:
        good, bad, dead = engine.submit(half, 6), engine.submit(half, 3), engine.submit(die, 0)
        assert (good.result(), good.result(), good.done()) == (3, 3, True)
        with pytest.raises(Odd) as caught:
            bad.result()
        assert caught.value.number == 3
        with pytest.raises(WorkerLost, match="SIGKILL"):
            dead.result()
        for job in (good, bad, dead):
            job.end()

    def test_job_is_ended_wherever_it_is(self, engine: Engine, tmp_path: Path) -> None:
        job = engine.submit(write_and_wait, tmp_path / "pid")
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        assert not job.done()
        job.end()
        until(lambda: gone(tmp_path / "pid"))

    def test_group_works_at_once_and_ends_with_the_block(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        files = [tmp_path / "1", tmp_path / "2"]
        with engine.group(write_and_wait, files) as group:
            until(lambda: all(file.exists() and file.read_text() for file in files))
            group.check()
        until(lambda: all(gone(file) for file in files))

    def test_group_says_which_worker_was_lost_or_failed(self, engine: Engine) -> None:
        with engine.group(die, [0, 0]) as group, pytest.raises(WorkerLost, match=r"worker . of 2"):
            group.check(within_s=180)
        with engine.group(half, [2, 3]) as group, pytest.raises(Odd):
            until(group.check)


def until(happened: Callable[[], object]) -> None:
    """Wait for something, three minutes at most."""
    end = time.monotonic() + 180
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def gone(file: Path) -> bool:
    """Tell whether the process that wrote its number there is gone."""
    return not Path(f"/proc/{file.read_text()}").exists()
