"""CPU time of all processes per answer, beside other servers with the same model.

It repeats on a busy machine where rates do not. Peers take turns within each round. The gateway
routes, keeps units with their version, counts, and logs every answer; the others only parse, infer
and answer.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.serving import cases, peers
from benchmarks.serving.cases import PATH, VERSION, Case
from benchmarks.serving.figures import Figure, Given, instar
from benchmarks.serving.load import ask, cpu_s

CONNECTIONS = 64
GOALS = {
    ("mlp", "bare"): 0.4,
    ("mlp", "fastapi"): 0.1,
    ("cnn", "bare"): 0.6,
    ("columns", "bare"): 0.5,
    ("columns", "fastapi"): None,  # it runs our bundle: see `twin`
    ("columns", "fastapi+pandas"): 0.2,
}


def cost(name: str, wanted: tuple[str, ...], given: Given) -> Iterator[Figure]:
    """Measure one request with the gateway and with peers."""
    case = cases.case(name)
    spent: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        running = {"instar": (*_ours(stack, case, given), PATH, case)}
        for peer in wanted:
            if why := peers.missing(peer):
                yield Figure(f"{peer}, {CONNECTIONS} connections", float("nan"), "µs", note=why)
                continue
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            place = stack.enter_context(peers.serving(peer, case, root, given.workers))
            running[peer] = (*place, *peers.asked(peer, case))
        for url, _, path, asked in running.values():
            ask(url, asked, 8, 1.0, path=path)
        for _ in range(given.rounds):
            for peer, (url, pid, path, asked) in running.items():
                before = cpu_s(pid)
                found = ask(url, asked, CONNECTIONS, given.seconds, path=path)
                spent.setdefault(peer, []).append(1e6 * (cpu_s(pid) - before) / found.good)
    yield from _told(name, spent)


def _ours(stack: contextlib.ExitStack, case: Case, given: Given) -> tuple[str, int]:
    house = stack.enter_context(instar({VERSION: case.name}, given.workers))
    return house.url, house.pid


def _told(name: str, spent: Mapping[str, list[float]]) -> Iterator[Figure]:
    for peer, costs in spent.items():
        note = f"{min(costs):.0f} to {max(costs):.0f}"
        yield Figure(f"{peer}, CPU per answer", statistics.median(costs), "µs", note=note)
    for peer in [one for one in spent if one != "instar"]:
        pairs = zip(spent["instar"], spent[peer], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        yield Figure(f"instar of {peer}", ratio, "", most=GOALS.get((name, peer), 0.1))


def mlp(given: Given) -> Iterator[Figure]:
    """Answer one row of 30 numbers, JSON, 64 connections."""
    yield from cost("mlp", ("bare", "fastapi", "mlserver", "litserve", "bentoml"), given)


def cnn(given: Given) -> Iterator[Figure]:
    """Answer one image of 28 by 28, binary, 64 connections."""
    yield from cost("cnn", ("bare",), given)


def columns(given: Given) -> Iterator[Figure]:
    """Answer one row of 12 numbers and 3 categories by name, JSON, 64 connections."""
    yield from cost("columns", ("bare", "fastapi", "fastapi+pandas"), given)
