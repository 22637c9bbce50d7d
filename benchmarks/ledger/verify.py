"""CPU seconds and memory to verify a large ledger: in the database, and as an export.

    python -m benchmarks.ledger.verify            # a million entries
    python -m benchmarks.ledger.verify 100000

Each side is a process of its own, whose CPU time and peak memory the system reports. The floor is
one SHA-256 over each line of the export, which no verifier can do without.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from instar.core.digest import PREFIX, digest_bytes
from instar.core.merkle import Frontier
from instar.ledger import notes, rows
from instar.ledger.checkpoints import EVERY, Checkpoints
from instar.ledger.entry import GENESIS, Entry
from instar.ledger.keys import pem, private_key
from instar.ledger.sqlite import SqliteJournal

COUNT = 1_000_000
LIMIT_S = 20.0
VERIFIER = Path(__file__).parents[2] / "verifier" / "verify_ledger.py"
SIDES = ("floor", "database", "export")


def body(number: int) -> dict[str, Any]:
    """Make a body of 300 to 600 bytes, as most records are."""
    findings = [
        {"code": f"check{n}", "verdict": "pass", "measured": number / (n + 7), "limit": 0.05}
        for n in range(3 + number % 4)
    ]
    return {"verdict": "pass", "findings": findings, "bundle": digest_bytes(b"%d" % number)}


def made(count: int, signer: Ed25519PrivateKey) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Make the rows of a ledger, and a checkpoint beside each row that makes one due."""
    frontier, prev = Frontier(), GENESIS
    for seq in range(1, count + 1):
        fields: dict[str, Any] = {"seq": seq, "prev": prev, "key": f"key{seq}", "epoch": 7}
        about: dict[str, Any] = {"update": f"u{seq // 12:04}", "model": "demand", "kind": "note"}
        entry = Entry(
            **fields,
            **about,
            body=body(seq),
            actor="worker",
            at=1.8e9 + seq / 3,
            work=None,
            hash="",
        )
        row = [*dataclasses.astuple(entry)]
        row[5] = rows.text(entry.body)
        row[11] = prev = rows.seal(row)
        frontier.add(bytes.fromhex(prev.removeprefix(PREFIX)))
        signed = None
        if seq % EVERY == 0 or seq == count:
            note = notes.checkpoint(signer, seq, frontier.root())
            peaks = json.dumps([peak.hex() for peak in frontier.peaks])
            signed = (seq, PREFIX + note.root.hex(), peaks, note.text, entry.at)
        yield tuple(row), signed


def lay(home: Path, count: int) -> None:
    """Write a ledger as a journal would have, without a commit for each entry."""
    signer = private_key(home, "ledger")
    if not isinstance(signer, Ed25519PrivateKey):
        raise TypeError(type(signer).__name__)
    SqliteJournal(home / "ledger.db").close()
    with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
        for row, signed in made(count, signer):
            connection.execute(f"INSERT INTO entries VALUES ({'?,' * 11}?)", row)
            if signed:
                connection.execute("INSERT INTO checkpoints VALUES (?,?,?,?,?)", signed)
    journal = SqliteJournal(home / "ledger.db", signing=Checkpoints(home))
    (home / "export").mkdir()
    journal.export(home / "export" / "ledger.jsonl", home / "export" / "checkpoints")
    journal.checkpoint()
    journal.close()
    (home / "export" / "ledger.pub").write_bytes(pem(signer.public_key()))


def database(home: Path) -> None:
    journal = SqliteJournal(home / "ledger.db", signing=Checkpoints(home))
    if problems := journal.verify():
        raise SystemExit(str(problems[0]))
    journal.close()


def floor(home: Path) -> None:
    with (home / "export" / "ledger.jsonl").open("rb") as file:
        for line in file:
            hashlib.sha256(line)


# A process counts the memory of the one that started it as its own; this one is small.
SMALL = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def measured(command: list[str]) -> dict[str, float]:
    """Run a process to its end; return its CPU seconds and its peak memory."""
    done = subprocess.run(
        [sys.executable, "-c", SMALL, *command], capture_output=True, text=True, check=True
    )
    cpu_s, peak_mb = map(float, done.stdout.split())
    return {"cpu_s": round(cpu_s, 2), "peak_mb": round(peak_mb, 1)}


def main() -> None:
    if len(sys.argv) > 2:  # one side, in a process of its own
        {"floor": floor, "database": database}[sys.argv[1]](Path(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        home = Path(folder)
        lay(home, count)
        size = (home / "export" / "ledger.jsonl").stat().st_size
        commands = {
            side: [sys.executable, "-m", "benchmarks.ledger.verify", side, folder] for side in SIDES
        }
        commands["export"] = [sys.executable, "-I", str(VERIFIER), f"{folder}/export"]
        figures = {side: measured(command) for side, command in commands.items()}
    print(f"{count:,} entries of {size / count:.0f} bytes   limit: {LIMIT_S:g} s for a million")
    print(f"{'':<12}{'CPU s':>8}{'peak MB':>10}{'us a row':>10}")
    for side, found in figures.items():
        each = 1e6 * found["cpu_s"] / count
        print(f"{side:<12}{found['cpu_s']:>8.2f}{found['peak_mb']:>10.1f}{each:>10.2f}")
    print(json.dumps({**figures, "entries": count, "limit_s": LIMIT_S}))


if __name__ == "__main__":
    main()
