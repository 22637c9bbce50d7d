"""Faults of a ledger in an SQLite file: F6, F22."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.ledger.journal import SqliteJournal
from tests.faults.contend import contend

# One interpreter forks the writers, which is quick; each opens the file for itself.
STORM = """
# warm
import os, sys
from pathlib import Path
from instar.ledger.journal import SqliteJournal
from instar.testing.contracts.journal import note

path, writers, entries = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
children = []
for writer in range(writers):
    pid = os.fork()
    if pid == 0:
        journal = SqliteJournal(path)
        for number in range(entries):
            note(journal, key=f"{writer}:{number}")
            note(journal, "without a key")
        journal.close()
        os._exit(0)
    children.append(pid)
sys.exit(sum(os.waitpid(pid, 0)[1] for pid in children) > 0)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.mark.parametrize(
    ("writers", "entries"), [(20, 3), pytest.param(20, 50, marks=pytest.mark.thorough)]
)
def test_storm_of_writers_loses_nothing(path: Path, writers: int, entries: int) -> None:
    subprocess.run([sys.executable, "-c", STORM, str(path), str(writers), str(entries)], check=True)
    journal = SqliteJournal(path)
    keys = [entry.key for entry in journal.entries()]
    wanted = {f"{writer}:{number}" for writer in range(writers) for number in range(entries)}
    assert wanted <= set(keys)
    assert len(keys) == len(set(keys)) == 2 * writers * entries
    assert journal.verify() == []
    journal.close()


@pytest.fixture
def journals(path: Path) -> Iterator[list[SqliteJournal]]:
    opened = [SqliteJournal(path) for _ in range(2)]
    yield opened
    for journal in opened:
        journal.close()


@pytest.mark.parametrize("tries", [40, pytest.param(200, marks=pytest.mark.thorough)])
def test_lease_asked_for_by_two_at_once_goes_to_one(
    journals: list[SqliteJournal], tries: int
) -> None:
    contend(journals, tries)
