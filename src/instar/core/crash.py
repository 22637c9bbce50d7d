"""Places where a crash is worth trying: before and after every durable operation.

Nothing happens here in service. Under test, `INSTAR_CRASH_TRACE` names a file in which every
point that is passed leaves a line, by whichever process passes it; with `INSTAR_CRASH_AT`, the
number of a line, the process that would write this line is killed (SIGKILL) in its place.
"""

from __future__ import annotations

import os
import signal

_TRACE = os.environ.get("INSTAR_CRASH_TRACE")
_AT = int(os.environ.get("INSTAR_CRASH_AT", "0"))


def crashpoint(name: str) -> None:
    """Pass a place where a crash is worth trying.

    Args:
        name: What is about to happen, or has just happened: `journal.append.committed`.
    Example:
        >>> crashpoint("nothing.happens.here")
    """
    if _TRACE:
        _pass(_TRACE, name)


def _pass(trace: str, name: str) -> None:
    with open(trace, "ab+", buffering=0) as file:  # noqa: PTH123 - a crash may come at any line
        file.seek(0)
        if _AT and file.read().count(b"\n") + 1 == _AT:
            file.write(f"KILLED {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        file.write(f"{name}\n".encode())
