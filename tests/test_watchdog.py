from __future__ import annotations

import threading
import time

from instar.watchdog import Watchdog


def watched(act, stall_s: float = 0.4) -> list[tuple[str, float]]:
    """Let a watchdog look at work until it ends; return what it called hung."""
    hung: list[tuple[str, float]] = []
    over = threading.Event()

    def told(name: str, seconds: float) -> None:
        hung.append((name, seconds))
        over.set()

    dog = Watchdog(stall_s, told)
    with dog.over("work"):
        act(dog, over)
    return hung


def test_work_that_waits_without_a_word_is_hung() -> None:
    assert watched(lambda dog, over: over.wait(30)) == [("work", 0.4)]


def test_training_that_hangs_between_two_steps_is_hung_however_busy() -> None:
    def spins(dog: Watchdog, over: threading.Event) -> None:
        dog.beat()
        while not over.is_set():
            sum(range(1000))

    assert watched(spins) == [("work", 0.4)]


def test_work_that_shows_steps_or_lines_is_alive() -> None:
    def steps(dog: Watchdog, over: threading.Event) -> None:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            dog.beat()
            dog.told()
            over.wait(0.01)

    assert watched(steps, stall_s=2) == []


def test_silent_work_that_computes_is_alive() -> None:
    def computes(dog: Watchdog, over: threading.Event) -> None:
        until = time.process_time() + 1.5
        while time.process_time() < until:
            sum(range(1000))

    assert watched(computes, stall_s=1) == []


def test_watchdog_that_is_off_looks_at_nothing() -> None:
    before = threading.active_count()
    seen: list[int] = []
    assert watched(lambda dog, over: seen.append(threading.active_count()), stall_s=0) == []
    assert seen == [before]


def test_work_is_told_to_stop() -> None:
    dog = Watchdog(0, lambda *_: None)
    assert not dog.stopping()
    dog.stop()
    assert dog.stopping()
