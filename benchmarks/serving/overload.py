"""Ten times the load that the gateway can carry: what it still answers, and to whom it listens."""

from __future__ import annotations

import http.client
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from benchmarks.serving import cases
from benchmarks.serving.cases import VERSION
from benchmarks.serving.figures import Figure, Given, House, instar
from benchmarks.serving.load import Told, ask, asking, memory_mb, told

TIMES, CONNECTIONS, TIMEOUT_MS, SLOW = 10, 256, 1000, 1000


def overload(given: Given) -> Iterator[Figure]:
    """Offer ten times what a model of EfficientNet-Lite0's size allows, within a second each."""
    yield from _overload(given, 0)


def slow(given: Given) -> Iterator[Figure]:
    """Do the same beside 1,000 sockets that send a byte of a request now and then."""
    yield from _overload(given, SLOW)


def _overload(given: Given, sockets: int) -> Iterator[Figure]:
    case = cases.case("heavy")
    seconds = max(8.0, 3 * given.seconds)
    with instar({VERSION: "heavy"}, given.workers) as house, ExitStack() as stack:
        ask(house.url, case, 4, 2.0)
        peak = ask(house.url, case, 8, 2 * given.seconds)
        before = memory_mb(house.pid)
        if sockets:
            stack.enter_context(dripping(house, sockets))
        found, waits, most = _storm(house, peak, seconds)
        after = ask(house.url, case, 8, given.seconds)
    yield Figure("peak", peak.rate, "/s", note="8 connections, the load's own CPU included")
    yield Figure("offered", found.offered / peak.rate, "times the peak")
    yield Figure("answered, of the peak", found.rate / peak.rate, "", least=0.9)
    yield Figure("control lane, p99", 1000 * _p99(waits), "ms", most=100, note=f"of {len(waits)}")
    yield Figure("memory, more than at peak", most - before, "MB", note=f"{before:.0f} at peak")
    yield Figure("after it, of the peak", after.rate / peak.rate, "", least=0.9)


def _storm(house: House, peak: Told, seconds: float) -> tuple[Told, list[float], float]:
    """Offer the load; what came of it, the control lane's answer times, most memory in MB."""
    # A fifth more: each waits for its answer, too.
    delay_ms = 1000 * CONNECTIONS / (1.2 * TIMES * peak.rate)
    waits, sizes = list[float](), list[float]()
    case = cases.case("heavy")
    with asking(
        house.url, case, CONNECTIONS, seconds, delay_ms=delay_ms, timeout_ms=TIMEOUT_MS
    ) as process:
        while process.poll() is None:
            waits.append(_control(house))
            sizes.append(memory_mb(house.pid))
            time.sleep(0.05)
        return told(process), waits, max(sizes)


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
