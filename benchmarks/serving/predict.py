"""What one answer costs: the gateway against a bare uvicorn application with the same model.

    python -m benchmarks.serving.predict

The twin parses the same JSON, runs the same sealed bundle and writes the same answer, and does
nothing else: no routing, no counts, no log. The figure is CPU time of the server process (user
and system) per answered request, which repeats on a busy machine where rates do not. Load comes
from `wrk` where it is installed, else from a small client of this file.
"""

from __future__ import annotations

import argparse
import asyncio
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

from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.client import GatewayTraffic, start
from instar.testing.bundles import tiny_bundle

VERSION = "model_v20260101_0000"
PATH = "/v2/models/m/infer"
BODY = json.dumps(
    {
        "id": "request-1",
        "inputs": [
            {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.25]},
            {"name": "y", "shape": [1], "datatype": "FP64", "data": [-0.5]},
            {"name": "colour", "shape": [1], "datatype": "BYTES", "data": ["red"]},
        ],
    }
)
TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Read the CPU seconds of a process, its threads and its ended children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICK


def load(url: str, connections: int, seconds: float) -> int:
    """Ask as fast as the server answers; return how many answers came."""
    if shutil.which("wrk") is None:
        return asyncio.run(ask(url, connections, seconds))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f"wrk.method = 'POST'\nwrk.body = [==[{BODY}]==]\n")
        script.write("wrk.headers['content-type'] = 'application/json'\n")
        script.write("done = function(s) io.write(string.format('answers %d %d\\n', ")
        script.write("s.requests, s.errors.status + s.errors.read + s.errors.timeout)) end\n")
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", script.name]
        said = subprocess.run([*command, url + PATH], capture_output=True, text=True, check=True)
    line = next(line for line in said.stdout.splitlines() if line.startswith("answers"))
    answers, errors = map(int, line.split()[1:])
    if errors:
        raise SystemExit(f"{errors} requests failed")
    return answers


async def ask(url: str, connections: int, seconds: float) -> int:
    """Be a small client, where there is no `wrk`."""
    host, port = url.removeprefix("http://").split(":")
    head = f"POST {PATH} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(BODY)}\r\n\r\n"
    sent, until = (head + BODY).encode(), time.monotonic() + seconds

    async def one() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        answers = 0
        while time.monotonic() < until:
            writer.write(sent)
            told = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in told:
                raise SystemExit("a request failed")
            length = int(told.split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            answers += 1
        writer.close()
        return answers

    return sum(await asyncio.gather(*(one() for _ in range(connections))))


@contextlib.contextmanager
def gateway(root: Path) -> Iterator[tuple[str, int]]:
    """Start the gateway with one champion."""
    manifest = tiny_bundle(DirectoryArtifacts(root / "artifacts"), VERSION)
    GatewayTraffic(root, "m").put(Route("m", 1, {VERSION: 1.0}, {VERSION: manifest}, VERSION))
    running = start(root, "m")
    try:
        yield running.url, running.pid
    finally:
        running.stop()


@contextlib.contextmanager
def twin(root: Path) -> Iterator[tuple[str, int]]:
    """Start the bare application in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.serving.twin", str(root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield str(process.stdout.readline()).strip() if process.stdout else "", process.pid
    finally:
        process.terminate()
        process.wait()


def measure(rounds: int, seconds: float) -> dict[str, list[float]]:
    """Ask both in turn; CPU microseconds per answer, a value a round."""
    found: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        gateway(Path(one)) as ours,
        twin(Path(other)) as bare,
    ):
        for url, _ in (ours, bare):
            load(url, 8, 1.0)
        for _ in range(rounds):
            for connections in (8, 64):
                for name, (url, pid) in (("instar", ours), ("twin", bare)):
                    before = cpu_s(pid)
                    answers = load(url, connections, seconds)
                    cost = 1e6 * (cpu_s(pid) - before) / answers
                    found.setdefault(f"{name} c{connections}", []).append(cost)
    return found


def main() -> None:
    """Measure, print the table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    found = measure(given.rounds, given.seconds)
    print(f"{'CPU µs per answer':<20}{'median':>10}{'least':>10}{'most':>10}")
    for name, costs in found.items():
        row = (statistics.median(costs), min(costs), max(costs))
        print(f"{name:<20}" + "".join(f"{value:>10.1f}" for value in row))
    medians = {name: round(statistics.median(costs), 1) for name, costs in found.items()}
    ratio = {
        f"ratio c{connections}": round(
            medians[f"instar c{connections}"] / medians[f"twin c{connections}"], 3
        )
        for connections in (8, 64)
    }
    print(json.dumps({"cpu_us_per_answer": medians, **ratio, "rounds": given.rounds}))


if __name__ == "__main__":
    main()
