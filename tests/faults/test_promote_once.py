"""Many processes promote one update, again and again: one promotion, one entry, one pointer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from instar.ledger.journal import SqliteJournal
from instar.testing.contracts.journal import crown

PROMOTER = """\
# warm
import json, os, sys
from pathlib import Path
from instar.ledger.journal import Hold, SqliteJournal

journal = SqliteJournal(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
seen = set()
for _ in range(int(sys.argv[2])):
    entry = journal.promote("demand", expect=1, body={"name": "v2"}, actor=str(os.getpid()),
                            epoch=None, update="u0001", key="promotion:u0001",
                            hold=Hold(60.0, "boot", 0.0))
    seen.add(entry.seq)
print(json.dumps(sorted(seen)), flush=True)
"""
PROCESSES = 8


def promote(folder: Path, times: int) -> None:
    path = folder / "ledger.db"
    journal = SqliteJournal(path)
    crown(journal, None)
    command = [sys.executable, "-c", PROMOTER, str(path), str(times)]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # all are at the line: now they run
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [json.loads(process.communicate()[0]) for process in processes]
    assert said == [[2]] * PROCESSES
    first, promotion = journal.entries()
    assert (promotion.kind, promotion.key) == ("promotion", "promotion:u0001")
    assert journal.champion("demand") == promotion
    assert journal.undelivered() == [first, promotion]
    assert journal.held(("boot", 1.0)) == [first]
    assert journal.verify() == []
    journal.close()


def test_update_that_eight_processes_promote_is_promoted_once(tmp_path: Path) -> None:
    promote(tmp_path, 50)


@pytest.mark.thorough
@pytest.mark.timeout(1200)
def test_update_that_eight_processes_promote_a_thousand_times_is_promoted_once(
    tmp_path: Path,
) -> None:
    promote(tmp_path, 1_000)
