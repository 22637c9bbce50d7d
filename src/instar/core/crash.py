"""Places where a crash is worth trying: before and after every durable operation.

Nothing happens here in service. Under test, `INSTAR_CRASH_TRACE` names a file in which every
point that is passed leaves a line, by whichever process passes it; with `INSTAR_CRASH_AT`, the
number of a line, the process that would write this line is killed (SIGKILL) in its place, and
the line says so. The file is locked for the while, so that lines of several processes count
exactly.
"""

from __future__ import annotations

import fcntl
import os
import signal


def crashpoint(name: str) -> None:
    """Pass a place where a crash is worth trying.

    Args:
        name: What is about to happen, or has just happened: `journal.append.committed`.
    Example:
        >>> crashpoint("nothing.happens.here")
    """
    # Looked up each time, a microsecond beside an operation that waits for a disk: a process
    # that was forked from a warm one has an environment of its own.
    if trace := os.environ.get("INSTAR_CRASH_TRACE"):
        _pass(trace, name, int(os.environ.get("INSTAR_CRASH_AT", "0")))


def _pass(trace: str, name: str, at: int) -> None:
    with open(trace, "ab+", buffering=0) as file:  # noqa: PTH123 - a crash may come at any line
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if file.read().count(b"\n") + 1 == at:
            file.write(f"KILLED {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        file.write(f"{name}\n".encode())
