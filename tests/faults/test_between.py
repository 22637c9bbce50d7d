"""F3 and F4. SIGKILL between two durable things that belong together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from instar.core.digest import digest_bytes
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import SqliteJournal

WEIGHTS = b"weights of a network"
RECORD = """
# warm
import sys
from pathlib import Path
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import SqliteJournal
root = Path(sys.argv[1])
weights = DirectoryArtifacts(root / "artifacts").put(b"weights of a network")
journal = SqliteJournal(root / "ledger.db")
journal.append("training", {"weights": weights}, update="u0001", model="m", actor="w", key="train")
journal.promote(
    "m", expect=None, body={"name": "v1"}, actor="w", epoch=None, update="u0001", key="promotion"
)
journal.close()
"""


def run(root: Path, trace: Path, at: int = 0) -> list[str]:
    """Make an artifact, record it, promote; die at a line of the trace. Return the trace."""
    crash = {"INSTAR_CRASH_TRACE": str(trace), "INSTAR_CRASH_AT": str(at)}
    done = subprocess.run(
        [sys.executable, "-c", RECORD, str(root)], env=os.environ | crash, check=False
    )
    assert done.returncode == (-signal.SIGKILL if at else 0)
    return trace.read_text().splitlines()


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("trace")
    return run(folder / "house", folder / "trace")


def after(trace: list[str], point: str, tmp_path: Path) -> SqliteJournal:
    """Kill at the first pass of a point, and open the ledger that is left."""
    lines = run(tmp_path / "house", tmp_path / "trace", 1 + trace.index(point))
    assert lines[-1] == f"KILLED {point}"
    return SqliteJournal(tmp_path / "house" / "ledger.db")


def names(root: Path) -> list[str]:
    return [file.name for file in (root / "artifacts").glob("*/*/*")]


def test_artifact_whose_record_was_never_written_is_adopted_by_the_next_run(
    trace: list[str], tmp_path: Path
) -> None:
    journal = after(trace, "journal.append.training", tmp_path)
    orphan = digest_bytes(WEIGHTS)
    artifacts = DirectoryArtifacts(tmp_path / "house" / "artifacts")
    assert (artifacts.read(orphan), journal.entries()) == (WEIGHTS, [])
    inode = artifacts.path(orphan).stat().st_ino
    run(tmp_path / "house", tmp_path / "again")
    assert [e.body["weights"] for e in journal.entries(kind="training")] == [orphan]
    assert artifacts.path(orphan).stat().st_ino == inode
    assert names(tmp_path / "house") == [orphan.removeprefix("sha256:")]
    journal.close()


def test_promotion_that_nobody_was_told_of_is_told_once_under_the_same_number(
    trace: list[str], tmp_path: Path
) -> None:
    journal = after(trace, "journal.promote.promotion.committed", tmp_path)
    (told,) = journal.undelivered()
    run(tmp_path / "house", tmp_path / "again")
    assert journal.undelivered() == [told] == journal.entries(kind="promotion")
    journal.delivered(told.seq)
    run(tmp_path / "house", tmp_path / "and again")
    assert journal.undelivered() == []
    journal.close()


def test_promotion_that_was_not_committed_is_told_to_nobody(
    trace: list[str], tmp_path: Path
) -> None:
    journal = after(trace, "journal.promote.promotion", tmp_path)
    assert (journal.undelivered(), journal.champion("m")) == ([], None)
    journal.close()
