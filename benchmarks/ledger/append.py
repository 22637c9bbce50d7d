"""Milliseconds per append to the journal, beside a bare durable insert on the same disk.

    python -m benchmarks.ledger.append

For SQLite and for a PostgreSQL server of its own on the same disk. Rounds alternate between all
sides, so that they meet the same disk. A bare side writes a row of the same size with one
unique index, and commits as durably: SQLite at the same journal mode and `synchronous=FULL`,
PostgreSQL with `fsync` and `synchronous_commit`. Ours signs a checkpoint every 64
entries and puts it beside the database.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from instar.ledger.journal import Checkpoints, Journal, SqliteJournal
from instar.ledger.postgres import PostgresJournal
from instar.ledger.sqlite import journal_mode
from tests.servers.postgres import running

ROUNDS, APPENDS = 10, 50
BODY = {
    "verdict": "pass",
    "findings": [{"code": f"check{n}", "measured": n / 7} for n in range(20)],
}


def timed(act: Callable[[int], object], first: int) -> list[float]:
    """Time each of a round's appends, in milliseconds."""
    spent = []
    for number in range(first, first + APPENDS):
        began = time.perf_counter()
        act(number)
        spent.append(1e3 * (time.perf_counter() - began))
    return spent


def bare(path: Path) -> Callable[[int], object]:
    """Open a bare table, and return what inserts one row durably."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={journal_mode()}")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (seq INTEGER PRIMARY KEY, body TEXT, hash TEXT UNIQUE)")
    body = json.dumps(BODY)

    def insert(number: int) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?, ?, ?)", (number, body, f"{number:071}"))
        connection.execute("COMMIT")

    return insert


def bare_postgres(link: psycopg.Connection[Any]) -> Callable[[int], object]:
    """Make a bare table in a server, and return what inserts one row durably."""
    link.execute("CREATE TABLE bare (seq integer PRIMARY KEY, body text, hash text UNIQUE)")
    link.commit()
    body = json.dumps(BODY)

    def insert(number: int) -> None:
        link.execute("INSERT INTO bare VALUES (%s, %s, %s)", (number, body, f"{number:071}"))
        link.commit()

    return insert


def ours(journal: Journal) -> Callable[[int], object]:
    """Take a journal's lease, and return what appends one fenced, keyed entry."""
    epoch = journal.acquire("demand", "benchmark", 3600, time.time())

    def append(number: int) -> object:
        return journal.append(
            "validation",
            BODY,
            update="u0001",
            model="demand",
            actor="worker",
            key=f"key{number}",
            epoch=epoch,
        )

    return append


def main() -> None:
    # Beside the code, not in /tmp, which may lie in memory, where nothing is durable.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, running(Path.cwd()) as server:
        link = psycopg.connect(host=str(server.folder), user="postgres", dbname="postgres")
        file = SqliteJournal(Path(folder) / "ours.db", signing=Checkpoints(Path(folder) / "ours"))
        signing = Checkpoints(Path(folder) / "theirs")
        served = PostgresJournal(server.address(server.schema()), signing=signing)
        sides = {
            "sqlite bare": bare(Path(folder) / "bare.db"),
            "sqlite": ours(file),
            "postgres bare": bare_postgres(link),
            "postgres": ours(served),
        }
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for round_ in range(ROUNDS):
            for name, act in sides.items():
                spent[name] += timed(act, round_ * APPENDS)
        file.close()
        served.close()
        link.close()
    print(f"{'ms per append':<16}{'median':>8}{'p10':>8}{'p90':>8}")
    figures = {}
    for name, values in spent.items():
        tenths = statistics.quantiles(values, n=10)
        figures[name] = {
            "median_ms": round(statistics.median(values), 3),
            "p10_ms": round(tenths[0], 3),
            "p90_ms": round(tenths[-1], 3),
        }
        print(f"{name:<16}" + "".join(f"{value:>8.2f}" for value in figures[name].values()))
    for name in ("sqlite", "postgres"):
        bare_ms = figures[f"{name} bare"]["median_ms"]
        figures[name]["ratio"] = round(figures[name]["median_ms"] / bare_ms, 2)
        print(f"{name + ', ratio':<16}{figures[name]['ratio']:>8.2f}")
    print(f"limit on SQLite: 5 ms; here {sqlite3.sqlite_version}")
    print(json.dumps({**figures, "limit_ms": 5.0, "n": ROUNDS * APPENDS}))


if __name__ == "__main__":
    main()
