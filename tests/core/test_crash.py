"""A crash point kills where it is told to, once, and does nothing otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PASS = """
import sys
from instar.core.crash import crashpoint
for name in sys.argv[1:]:
    crashpoint(name)
"""


def passes(trace: Path, at: str, *names: str) -> int:
    """Let a process pass points; return its exit status."""
    switches = {"INSTAR_CRASH_TRACE": str(trace), "INSTAR_CRASH_AT": at}
    done = subprocess.run(
        [sys.executable, "-c", PASS, *names], env=os.environ | switches, check=False
    )
    return done.returncode


@pytest.mark.parametrize("at", ["3", "a#2"])
def test_process_is_killed_at_the_line_or_the_pass(tmp_path: Path, at: str) -> None:
    trace = tmp_path / "trace"
    assert passes(trace, at, "a", "b", "a", "a") == -signal.SIGKILL
    assert trace.read_text().split("\n") == ["a", "b", "KILLED a", ""]


@pytest.mark.parametrize("at", ["2", "a#2"])
def test_lines_of_several_processes_count_together_and_one_is_killed(
    tmp_path: Path, at: str
) -> None:
    trace = tmp_path / "trace"
    ended = [passes(trace, at, "a") for _ in range(4)]
    assert ended == [0, -signal.SIGKILL, 0, 0]
    assert trace.read_text().split("\n") == ["a", "KILLED a", "a", "a", ""]


def test_point_that_is_not_reached_kills_nobody(tmp_path: Path) -> None:
    assert passes(tmp_path / "trace", "b#1", "a", "a") == 0
