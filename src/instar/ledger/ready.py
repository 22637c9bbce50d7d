"""The workspace's own folder before work begins: who may write it, and how much room there is."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from instar.core.errors import BackendError
from instar.ledger.files import DiskFull, StoreFailed

OURS = ("artifacts", "keys", "scratch", "serve")


class NotOurs(BackendError):
    """Report a folder or file that this process may not write, with what would mend it."""

    code = "backend.not_writable"

    def __init__(self, name: str, got: str, todo: str) -> None:
        super().__init__(f"{name} that {_who(os.geteuid())} can write", got, todo)


class NoRoom(DiskFull):
    """Refuse to begin what would fill the disk on the way."""

    code = "backend.no_room"

    def __init__(self, need: int, free: int) -> None:
        BackendError.__init__(
            self,
            f"about {_size(need)} free for this update",
            f"{_size(free)}",
            "make room, or move the workspace to a larger disk",
        )


def writable(home: Path) -> None:
    """See that the workspace's own folder can be written by whoever runs this.

    Args:
        home: `.instar`; where there is none yet, the folder that it would be made in.
    Raises:
        NotOurs: the file system is read-only, or somebody else owns what lies there.
    """
    there = home if home.exists() else home.parent
    ours = (home / name for name in OURS)
    for path in (there, *(folder for folder in ours if folder.exists()), home / "ledger.db"):
        if path.exists() and not os.access(path, os.W_OK, effective_ids=True):
            raise _reason(path, path.name)


def _reason(path: Path, name: str) -> NotOurs:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return NotOurs(name, "a read-only file system", "mount it for writing: mount -o remount,rw")
    found = path.stat()
    if found.st_uid != os.geteuid():
        todo = f"run Instar as {_who(found.st_uid)}, or: chown -R {_who(os.geteuid())} {name}"
        return NotOurs(name, f"one that {_who(found.st_uid)} owns", todo)
    return NotOurs(name, f"rights {stat.filemode(found.st_mode)}", f"run: chmod -R u+rwX {name}")


def room(home: Path, need: int) -> None:
    """See that the disk has room before work begins.

    Args:
        home: A folder on the disk.
        need: How many bytes the work may take.
    Raises:
        NoRoom: fewer are free.
    """
    try:
        found = os.statvfs(home)
    except OSError as error:
        raise StoreFailed(error) from error
    free = found.f_bavail * found.f_frsize
    if free < need:
        raise NoRoom(need, free)


def estimate(rows: int, weights: int) -> int:
    """Guess what an update writes, in bytes, on the safe side.

    Args:
        rows: Size of the fresh data on disk; kept once as they came and once cleaned.
        weights: Size of the champion's largest graph; there is one in each format, and two
            checkpoints with three copies (weights, best, two moments of the optimiser).
    Example:
        >>> estimate(rows=1_000_000, weights=100_000)
        11740032
    """
    return 3 * rows + 14 * weights + (7 << 20)


def _who(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
