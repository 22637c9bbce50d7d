"""F6. Two controllers that start at once: one acts, the other waits or goes away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from instar.ledger.journal import SqliteJournal

# Told a number, it tries to be the controller of that round; told `end`, it lets go.
CONTROLLER = """
# warm
import json, sys, time
from pathlib import Path
from instar.ledger.journal import Busy, SqliteJournal
journal, name = SqliteJournal(Path(sys.argv[1])), sys.argv[2]
for line in sys.stdin:
    try:
        epoch = journal.acquire("m", name, 60, time.time())
    except Busy:
        print(json.dumps({"acted": False, "epoch": None}), flush=True)
        sys.stdin.readline()
        continue
    word = {"round": int(line), "by": name}
    journal.append("note", word, update=None, model="m", actor=name, epoch=epoch)
    print(json.dumps({"acted": True, "epoch": epoch}), flush=True)
    sys.stdin.readline()
    journal.release("m", name, epoch)
    print("{}", flush=True)
"""


def controllers(path: Path, rounds: int) -> list[int]:
    """Let two processes race for each round; return the epochs of those that acted."""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CONTROLLER, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one:1", "two:2")
    ]

    def tell(process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def hear(process: subprocess.Popen[str]) -> dict[str, object]:
        assert process.stdout
        found: dict[str, object] = json.loads(process.stdout.readline())
        return found

    epochs = []
    for number in range(rounds):
        for process in both:
            tell(process, str(number))
        said = [hear(process) for process in both]
        assert sorted(bool(word["acted"]) for word in said) == [False, True]
        for process, word in zip(both, said, strict=True):
            tell(process, "end")
            if word["acted"]:
                epochs.append(int(str(word["epoch"])))
                hear(process)
    for process in both:
        process.communicate()
        assert process.returncode == 0
    return epochs


@pytest.mark.parametrize(
    "rounds", [20, pytest.param(200, marks=pytest.mark.thorough)], ids=["few", "200"]
)
def test_of_two_controllers_started_at_once_one_acts(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "ledger.db"
    SqliteJournal(path).close()
    epochs = controllers(path, rounds)
    journal = SqliteJournal(path)
    assert [e.body["round"] for e in journal.entries()] == list(range(rounds))
    assert epochs == sorted(set(epochs)) == [e.epoch for e in journal.entries()]
    assert journal.verify() == []
    journal.close()
