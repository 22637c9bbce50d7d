"""What one answer costs: the gateway, a bare uvicorn application, FastAPI; and swaps under load.

    python -m benchmarks.serving.predict [--rounds 5] [--seconds 3] [--workers 2]

All run the same sealed bundles in as many processes. The gateway routes, keeps units with their
version, counts, and logs every answer; the others only parse, infer and answer. The figure is CPU
time (user and system) of the whole process tree per answered request, which repeats on a busy
machine where rates do not; peers take turns within each round. Load comes from `wrk`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.serving import cases
from benchmarks.serving.cases import PATH, VERSION, Case
from instar.bundle.columns import NUMBERS
from instar.bundle.runtime import ServedBundle
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.client import GatewayTraffic, start

TICK = os.sysconf("SC_CLK_TCK")
PEERS = ("instar", "bare", "fastapi")


def tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_s(pid: int) -> float:
    """Read the CPU seconds of a process tree, of its threads and of children that ended."""
    total = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(int(field) for field in fields[11:13])
    return total / TICK


def load(url: str, case: Case, connections: int, seconds: float) -> int:
    """Ask as fast as the server answers; return how many answers came."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(case.lua())
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", script.name]
        said = subprocess.run([*command, url + PATH], capture_output=True, text=True, check=True)
    answers, errors, late = counted(said.stdout)
    if errors or late:  # late: over 2 s, which on a busy machine may be anybody's fault
        print(f"{url}: {errors} requests failed, {late} were late", file=sys.stderr)
    if errors:
        raise SystemExit(1)
    return answers


def counted(said: str) -> tuple[int, int, int]:
    """Read what wrk says: answers, errors, answers that came after 2 s."""
    line = next(line for line in said.splitlines() if line.startswith("answers"))
    answers, errors, late = map(int, line.split()[1:])
    return answers, errors, late


@contextlib.contextmanager
def instar(root: Path, case: str, workers: int) -> Iterator[tuple[str, int]]:
    """Start the gateway with one champion."""
    manifest = cases.bundle(DirectoryArtifacts(root / "artifacts"), case)
    GatewayTraffic(root, "m").put(Route("m", 1, {VERSION: 1.0}, {VERSION: manifest}, VERSION))
    running = start(root, "m", workers=workers)
    try:
        yield running.url, running.pid
    finally:
        running.stop()


@contextlib.contextmanager
def twin(peer: str, root: Path, case: str, workers: int) -> Iterator[tuple[str, int]]:
    """Start another server in processes of its own."""
    command = [sys.executable, "-m", "benchmarks.serving.twin", peer, case, str(root), str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield str(process.stdout.readline()).strip() if process.stdout else "", process.pid
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def measure(
    case: Case, peers: list[str], rounds: int, seconds: float, workers: int
) -> dict[str, list[float]]:
    """Ask all in turn; CPU microseconds per answer, a value a round."""
    found: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        running = {}
        for peer in peers:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            running[peer] = stack.enter_context(
                instar(root, case.name, workers)
                if peer == "instar"
                else twin(peer, root, case.name, workers)
            )
        for url, _ in running.values():
            load(url, case, 8, 1.0)
        for _ in range(rounds):
            for connections in (8, 64):
                for peer, (url, pid) in running.items():
                    before = cpu_s(pid)
                    answers = load(url, case, connections, seconds)
                    cost = 1e6 * (cpu_s(pid) - before) / answers
                    name = f"{case.name} {peer} c{connections}"
                    found.setdefault(name, []).append(cost)
    return found


def swaps(case: Case, workers: int, turns: int = 60, pause_s: float = 0.1) -> dict[str, float]:
    """Replace the version that serves, again and again, while 16 connections ask."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with instar(root, case.name, workers) as (url, _):
            traffic = GatewayTraffic(root, "m")
            other = VERSION.replace("0101", "0102")
            manifests = {
                VERSION: traffic.route().manifests[VERSION],
                other: cases.bundle(DirectoryArtifacts(root / "artifacts"), case.name, other),
            }
            with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
                script.write(case.lua())
                script.flush()
                spent = f"-d{turns * pause_s + 3:.0f}s"
                command = ["wrk", "-t1", "-c16", spent, "-s", script.name, url + PATH]
                asking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                taken = []
                for turn in range(turns):
                    began = time.monotonic()
                    name = other if turn % 2 == 0 else VERSION
                    route = Route("m", turn + 2, {name: 1.0}, {name: manifests[name]}, name)
                    taken.append(traffic.move(route))
                    time.sleep(max(0.0, pause_s - (time.monotonic() - began)))
                said, _ = asking.communicate()
    answers, errors, late = counted(said)
    return {
        "swaps": turns,
        "seconds": round(sum(max(pause_s, t) for t in taken), 2),
        "move_ms": round(1000 * statistics.median(taken), 1),
        "answers": answers,
        "errors": errors,
        "late": late,
    }


def yardstick() -> float:
    """Measure one run of the MLP by itself: how fast this machine is just now, in microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        artifacts = DirectoryArtifacts(Path(folder) / "artifacts")
        bundle = ServedBundle.open(artifacts, cases.bundle(artifacts, "mlp"))
    piece = bundle.piece({NUMBERS: [[0.0] * 30]})
    costs = []
    for _ in range(30):
        began = time.process_time()
        for _ in range(200):
            bundle.together([piece])
        costs.append((time.process_time() - began) / 200)
    return 1e6 * min(costs)


def main() -> None:
    """Measure, print the table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--case", choices=[case.name for case in cases.cases()])
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wanted wrk; got none; install the package wrk")
    found: dict[str, list[float]] = {}
    chosen = [case for case in cases.cases() if given.case in (None, case.name)]
    for case in chosen:
        peers = [p for p in PEERS if p != "fastapi" or (has_fastapi() and case.kind != "image")]
        found |= measure(case, peers, given.rounds, given.seconds, given.workers)
    alone = yardstick()
    print(f"the MLP alone, one row: {alone:.1f} µs")
    heads = ("median", "least", "most", "of bare")
    print(f"{'CPU µs per answer':<24}" + "".join(f"{h:>9}" for h in heads) + f"{'of FastAPI':>12}")
    ratios: dict[str, dict[str, float]] = {"bare": {}, "fastapi": {}}
    for name, costs in found.items():
        case_name, _, connections = name.split()
        for other, known in ratios.items():
            if beside := found.get(f"{case_name} {other} {connections}"):
                pairs = zip(costs, beside, strict=True)
                known[name] = round(statistics.median(a / b for a, b in pairs), 3)
        row = "".join(f"{v:>9.1f}" for v in (statistics.median(costs), min(costs), max(costs)))
        of_fastapi = ratios["fastapi"].get(name, float("nan"))
        print(f"{name:<24}{row}{ratios['bare'][name]:>9.2f}{of_fastapi:>12.2f}")
    moved = swaps(chosen[0], given.workers)
    print("swaps under load: " + ", ".join(f"{value} {name}" for name, value in moved.items()))
    medians = {name: round(statistics.median(costs), 1) for name, costs in found.items()}
    told: dict[str, Any] = {
        "cpu_us_per_answer": medians,
        "of_bare": ratios["bare"],
        "of_fastapi": ratios["fastapi"],
        "swaps": moved,
    }
    told["mlp_alone_us"] = round(alone, 1)
    print(json.dumps({**told, "rounds": given.rounds, "workers": given.workers}))


def has_fastapi() -> bool:
    """Tell whether FastAPI is installed; it is only measured against."""
    try:
        import fastapi  # noqa: F401
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
