"""What durability adds to a whole update: `python -m benchmarks.reliability.durability`.

The same small update, from reading its data to a validated bundle, once as it is and once with
every fsync a no-op and SQLite at `synchronous=OFF`; the two take turns, in one warm process, on
the disk beside the code. The difference of a pair holds the noise of two whole updates; the table
adds up every operation that waits for the disk, or reads back what was written, by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import sqlite3
import stat
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from os import fstat
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import torch
from safetensors.torch import save_file
from sqlalchemy.engine.default import DefaultDialect

from instar.core.data import InputSpec
from instar.core.records import Network
from instar.ledger import artifacts, files, sqlite
from instar.models.build import build
from instar.worker import process

LIMIT_S = 1.5
ROUNDS = 5
YAML = """\
model: demand
task: {kind: binary, target: up}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 4, batch: 64, checkpoint_s: 0}
  package: {int8: never}
  validate: {attack: {rows: 20, steps: 2}, resamples: 100}
"""
Spent = dict[str, list[float]]


def table(rows: int, seed: int) -> pl.DataFrame:
    """Draw rows with two numbers and a label that depends on both."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=rows), random.normal(size=rows)
    up = random.random(rows) < 1 / (1 + np.exp(-2 * x - y))
    return pl.DataFrame({"x": x, "y": y, "up": up})


def work(folder: Path, task: str, **args: Any) -> float:
    """Have the worker do a task in this process; return the seconds that it took."""
    out = folder / "out.jsonl"
    out.write_text("")
    order = {"do": task, "root": str(folder), "by": "alice", "set": {}, "args": args}
    given = io.StringIO(json.dumps({**order, "out": str(out)}))
    began = time.perf_counter()
    with mock.patch.object(sys, "stdin", given):
        process.main()
    spent = time.perf_counter() - began
    last = json.loads(out.read_text().splitlines()[-1])
    if "result" not in last:
        raise RuntimeError(last)
    return spent


def adopted(folder: Path) -> Path:
    """Lay out a workspace and adopt an untrained network."""
    folder.mkdir()
    (folder / "instar.yaml").write_text(YAML)
    for seed, name in enumerate(("train", "holdout", "fresh")):
        table(400, seed).write_parquet(folder / f"{name}.parquet")
    torch.manual_seed(0)
    network = Network(family="mlp", options={"hidden": [8]})
    module = build(network, InputSpec(numbers=2, outputs=1), folder)
    save_file(module.state_dict(), folder / "champion.safetensors")
    work(
        folder,
        "adopt",
        weights=str(folder / "champion.safetensors"),
        train=str(folder / "train.parquet"),
        holdout=str(folder / "holdout.parquet"),
        preprocessing=None,
        seed=0,
    )
    return folder


class Timed(files.Disk):
    """The disk, with a watch on what is forced to it."""

    def __init__(self, spent: Spent) -> None:
        self._spent = spent

    def fsync(self, handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(fstat(handle).st_mode) else "file"
        with watched(self._spent, f"fsync of a {kind}"):
            super().fsync(handle)


class Careless(files.Disk):
    """A disk that forces nothing."""

    def fsync(self, handle: int) -> None:
        pass


@contextlib.contextmanager
def watched(spent: Spent, name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    spent.setdefault(name, []).append(1e3 * (time.perf_counter() - began))


def timing(spent: Spent, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*given: Any) -> Any:
        with watched(spent, name):
            return act(*given)

    return timed


@contextlib.contextmanager
def durable(spent: Spent) -> Iterator[None]:
    """Let everything be as it is, and note how long each operation takes."""
    commit = timing(spent, "commit of the journal", DefaultDialect.do_commit)
    hashing = timing(spent, "artifact read and hashed", artifacts._digest)  # noqa: SLF001
    with (
        files.using(Timed(spent)),
        mock.patch.object(DefaultDialect, "do_commit", commit),
        mock.patch.object(artifacts, "_digest", hashing),
    ):
        yield


@contextlib.contextmanager
def careless() -> Iterator[None]:
    """Let nothing wait for the disk."""
    prepare = sqlite._prepare  # noqa: SLF001 - a pragma is changed behind it

    def hurried(connection: Any, record: object) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=OFF").close()

    with files.using(Careless()), mock.patch.object(sqlite, "_prepare", hurried):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    spent: Spent = {}
    totals: dict[str, list[float]] = {"durable": [], "careless": []}
    # Beside the code, not in /tmp, which may lie in memory, where nothing is durable.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        start = adopted(Path(place) / "start")
        for number in range(-1, rounds):  # the first pair only warms up
            notes: Spent = {}
            for name, how in (("durable", durable(notes)), ("careless", careless())):
                folder = Path(shutil.copytree(start, Path(place) / f"{number}-{name}"))
                with how:
                    source = str(folder / "fresh.parquet")
                    seconds = work(folder, "update", source=source, reason="weekly", seed=1)
                if number >= 0:
                    totals[name].append(seconds)
                shutil.rmtree(folder)
            for name, values in notes.items() if number >= 0 else ():
                spent.setdefault(name, []).extend(values)
    show(spent, totals, rounds)


def show(spent: Spent, totals: dict[str, list[float]], rounds: int) -> None:
    """Print the table and the JSON line."""
    print(f"{'operation':<28}{'an update':>10}{'total ms':>10}{'median ms':>11}")
    operations = {}
    for name, values in sorted(spent.items()):
        figures = {
            "count": round(len(values) / rounds, 1),
            "total_ms": round(sum(values) / rounds, 1),
            "median_ms": round(statistics.median(values), 3),
        }
        operations[name] = figures
        count, total, median = figures.values()
        print(f"{name:<28}{count:>10g}{total:>10.1f}{median:>11.3f}")
    summed = sum(figures["total_ms"] for figures in operations.values()) / 1e3
    added = [a - b for a, b in zip(totals["durable"], totals["careless"], strict=True)]
    print(f"{'all of them':<28}{'':>10}{1e3 * summed:>10.1f}")
    for name, values in totals.items():
        print(f"an update, {name:<17}{statistics.median(values):>10.2f} s")
    median = statistics.median(added)
    print(
        f"durability adds {median:.2f} s ({min(added):.2f} to {max(added):.2f}); limit {LIMIT_S} s"
    )
    print(
        json.dumps(
            {
                "operations": operations,
                "operations_s": round(summed, 3),
                "added_s": round(median, 3),
                "added_range_s": [round(min(added), 3), round(max(added), 3)],
                "durable_s": round(statistics.median(totals["durable"]), 3),
                "careless_s": round(statistics.median(totals["careless"]), 3),
                "limit_s": LIMIT_S,
                "rounds": rounds,
                "sqlite": sqlite3.sqlite_version,
            }
        )
    )


if __name__ == "__main__":
    main()
