"""Ten times the load that the gateway can carry: what it still answers, and to whom it listens."""

from __future__ import annotations

import http.client
import os
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

from benchmarks.serving import cases
from benchmarks.serving.cases import VERSION
from benchmarks.serving.figures import Figure, Given, House, instar
from benchmarks.serving.load import ask, asking, cpu_s, memory_mb, told

TIMES, CONNECTIONS, TIMEOUT_MS, SLOW = 10, 256, 1000, 1000


def overload(given: Given) -> Iterator[Figure]:
    """Offer ten times what a model of EfficientNet-Lite0's size allows, within a second each."""
    yield from _overload(given, 0)


def slow(given: Given) -> Iterator[Figure]:
    """Do the same beside 1,000 sockets that send a byte of a request now and then."""
    yield from _overload(given, SLOW)


def _overload(given: Given, sockets: int) -> Iterator[Figure]:
    """Take turns: calm, storm, right after it. A machine's speed may double within a row."""
    storm_s = 2 * given.seconds
    with instar({VERSION: "heavy"}, given.workers) as house, ExitStack() as stack:
        _calm(house, 2.0)
        calm = [_calm(house, given.seconds)]
        before = memory_mb(house.pid)
        if sockets:
            stack.enter_context(dripping(house, sockets))
        storms, after = list[Storm](), list[Period]()
        for _ in range(given.rounds):
            storms.append(_storm(house, calm[-1].rate, storm_s))
            after.append(_calm(house, given.seconds))
            calm.append(_calm(house, given.seconds))
    # Each storm is held against the calm before and after it.
    peaks = [(one.rate + other.rate) / 2 for one, other in pairwise(calm)]
    prices = [(one.per_cpu_s + other.per_cpu_s) / 2 for one, other in pairwise(calm)]
    found = [one.found for one in storms]
    waits = [wait for one in storms for wait in one.waits]
    spread = f"{min(peaks):.0f} to {max(peaks):.0f}; 8 connections"
    yield Figure("peak", statistics.median(peaks), "/s", note=spread)
    yield _of("offered", [one.answers_s for one in storms], peaks, unit="times the peak")
    yield _of("answered, of the peak", [one.rate for one in found], peaks, least=0.9)
    yield Figure("good answers per CPU second, peak", statistics.median(prices), "")
    paid = [one.per_cpu_s for one in found]
    yield Figure("the same in the storm", statistics.median(paid), "", note="of the gateway's")
    yield _of("the same, of the peak", paid, prices)
    asking = statistics.median(one.load_cpu for one in storms)
    yield Figure("cores that the load itself took", asking, "", note=f"of {os.cpu_count()}")
    yield Figure("control lane, p99", 1000 * _p99(waits), "ms", most=100, note=f"of {len(waits)}")
    most = max(one.memory_mb for one in storms)
    yield Figure("memory, more than at peak", most - before, "MB", note=f"{before:.0f} at peak")
    yield _of("right after it, of the peak", [one.rate for one in after], peaks, least=0.9)


def _of(
    name: str,
    values: Sequence[float],
    peaks: Sequence[float],
    *,
    unit: str = "",
    least: float | None = None,
) -> Figure:
    """Give the median of the ratios of a value to the peak that stood beside it."""
    ratios = [value / peak for value, peak in zip(values, peaks, strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return Figure(name, statistics.median(ratios), unit, least=least, note=spread)


@dataclass(frozen=True)
class Period:
    """Good answers a second, and per CPU second of the gateway's processes."""

    rate: float
    per_cpu_s: float


@dataclass(frozen=True)
class Storm:
    """What came of a storm; the control lane's answer times, the most memory, the load's cores."""

    found: Period
    answers_s: float  # good or not
    waits: list[float]
    memory_mb: float
    load_cpu: float


def _calm(house: House, seconds: float) -> Period:
    began = cpu_s(house.pid)
    found = ask(house.url, cases.case("heavy"), 8, seconds)
    return Period(found.rate, found.good / (cpu_s(house.pid) - began))


def _storm(house: House, peak: float, seconds: float) -> Storm:
    """Offer ten times the peak, each request with a second to be answered in."""
    # A fifth more: each waits for its answer, too.
    delay_ms = 1000 * CONNECTIONS / (1.2 * TIMES * peak)
    waits, sizes, began = list[float](), list[float](), cpu_s(house.pid)
    case = cases.case("heavy")
    with asking(
        house.url, case, CONNECTIONS, seconds, delay_ms=delay_ms, timeout_ms=TIMEOUT_MS
    ) as process:
        used = 0.0
        while process.poll() is None:
            waits.append(_control(house))
            sizes.append(memory_mb(house.pid))
            with suppress(OSError):  # it ended meanwhile
                used = cpu_s(process.pid)
            time.sleep(0.05)
        found = told(process)
    spent = cpu_s(house.pid) - began
    period = Period(found.rate, found.good / spent)
    return Storm(period, found.offered, waits, max(sizes), used / found.seconds)


def _control(house: House) -> float:
    place = urlsplit(house.url)
    began = time.monotonic()
    line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=10)
    try:
        line.request("GET", "/api/v1/status")
        if line.getresponse().status != http.HTTPStatus.OK:
            return 10.0
    except OSError:
        return 10.0
    finally:
        line.close()
    return time.monotonic() - began


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


@contextmanager
def dripping(house: House, number: int) -> Iterator[None]:
    """Hold sockets open that send a request byte by byte, from another address of loopback."""
    place = urlsplit(house.url)
    stop, held = threading.Event(), list[socket.socket]()
    asked = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: here\r\nx-slow: " + b"a" * 600

    def connect() -> socket.socket:
        made = socket.create_connection(
            (str(place.hostname), place.port), 10, source_address=("127.0.0.2", 0)
        )
        made.setblocking(False)
        return made

    def drip() -> None:
        at = 0
        while not stop.wait(0.5):
            for place_of, one in enumerate(held):
                try:
                    one.send(asked[at % len(asked) : at % len(asked) + 1])
                except OSError:  # the gateway had enough of it: the next one comes
                    one.close()
                    held[place_of] = connect()
            at += 1

    held += [connect() for _ in range(number)]
    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for one in held:
            one.close()
