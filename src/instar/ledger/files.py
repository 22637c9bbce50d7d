"""The file layer: the only place that makes bytes durable.

Functions here take paths that the user named, or that the caller made of its own constants.
Below a folder of ours, where a name may have come from outside, use `safedir.SafeDir`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from instar.core.crash import crashpoint
from instar.core.errors import BackendError, IntegrityError
from instar.ledger.beneath import open_beneath

CHUNK = 1 << 20
NEW = ".new-"  # how the name of a file begins that has no name of its own yet

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StoreFailed(BackendError):
    """Report a file operation that the system refused; the file's place is not told."""

    code = "backend.store"

    def __init__(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        super().__init__(
            "a store that takes and gives bytes",
            f"{reason!r} from the system",
            "look at space, rights and the health of the disk",
        )


class DiskFull(StoreFailed):
    """Report a disk, a quota or a file-size limit that is used up."""

    code = "backend.disk_full"


class UnsafeFile(IntegrityError):
    """Refuse what stands in the place of a file: a link, a pipe, a device, a folder."""

    code = "integrity.unsafe_file"

    def __init__(self, name: str, got: str) -> None:
        super().__init__(
            f"a plain file {name!r} with one name", got, "find out who put it there, and remove it"
        )


class Disk:
    """The system's own calls, one method each. `using` puts another disk in its place.

    Handles are the system's. A name stands alone, without a slash, below the folder `at`.
    """

    def open(self, path: str, flags: int) -> int:
        """Open a path that the user or our own code chose."""
        return os.open(path, flags | os.O_CLOEXEC)

    def beneath(self, root: int, name: str, flags: int, mode: int = 0) -> int:
        """Open a name below a folder and never outside it; see `open_beneath`."""
        return open_beneath(root, name, flags, mode)

    def read(self, handle: int, size: int) -> bytes:
        """Read at most `size` bytes; none at the end."""
        return os.read(handle, size)

    def write(self, handle: int, data: memoryview) -> int:
        """Write some of the bytes and return how many."""
        return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        """Force a file's bytes, or a folder's names, to the disk."""
        os.fsync(handle)

    def rename(self, old: str, new: str, at: int, to: int | None = None) -> None:
        """Give a file another name, in its folder or the one `to`, in place of whatever has it."""
        os.rename(old, new, src_dir_fd=at, dst_dir_fd=at if to is None else to)

    def unlink(self, name: str, at: int) -> None:
        """Take a file's name away."""
        os.unlink(name, dir_fd=at)

    def mkdir(self, name: str, mode: int, at: int) -> None:
        """Make a folder."""
        os.mkdir(name, mode, dir_fd=at)

    def list(self, handle: int) -> list[str]:
        """List the names in a folder, in no order."""
        return os.listdir(handle)


class _Installed:
    disk = Disk()


def disk() -> Disk:
    """Return the disk that all files are kept on."""
    return _Installed.disk


@contextlib.contextmanager
def using(other: Disk) -> Iterator[None]:
    """Keep files on another disk for the while: one that fails, or that remembers.

    Example:
        >>> other = Disk()
        >>> with using(other):
        ...     disk() is other
        True
    """
    before, _Installed.disk = _Installed.disk, other
    try:
        yield
    finally:
        _Installed.disk = before


@contextlib.contextmanager
def mapped() -> Iterator[None]:
    """Turn what the system refuses into `StoreFailed`."""
    try:
        yield
    except OSError as error:
        raise failure(error) from error


def failure(error: OSError) -> StoreFailed:
    """Choose our word for what the system refused."""
    return DiskFull(error) if error.errno in _FULL else StoreFailed(error)


@contextlib.contextmanager
def opened(handle: int) -> Iterator[int]:
    """Close a handle in any case."""
    try:
        yield handle
    finally:
        os.close(handle)


def plain(handle: int, name: str, *, alone: bool = True) -> int:
    """Pass a handle on if it is a regular file; otherwise close it.

    Args:
        alone: Whether a second hard link is refused: somebody could write through it.
    Raises:
        UnsafeFile: it is something else.
    """
    found = os.fstat(handle)
    got = ""
    if not stat.S_ISREG(found.st_mode):
        got = "something that is no regular file"
    elif alone and found.st_nlink != 1:
        got = f"one with {found.st_nlink} hard links"
    if got:
        os.close(handle)
        raise UnsafeFile(name, got)
    return handle


def pieces(handle: int) -> Iterator[bytes]:
    """Read an open file to its end in chunks of 1 MiB, and close it."""
    with opened(handle):
        while chunk := disk().read(handle, CHUNK):
            yield chunk


def chunks(path: Path) -> Iterator[bytes]:
    """Read a file in chunks of 1 MiB; a symbolic link or a pipe in its place is refused."""
    yield from pieces(plain(disk().open(str(path), _READ), path.name, alone=False))


def write(folder: Path, parts: Iterable[bytes], mode: int = 0o444) -> Path:
    """Write a new read-only file under a name of its own and force it to the disk.

    The file stands in the folder it is meant for, so that `settle` is one rename. A failed
    write leaves nothing behind.
    """
    with opened(disk().open(str(folder), _FOLDER)) as at:
        return folder / write_at(at, parts, mode)


def write_at(at: int, parts: Iterable[bytes], mode: int = 0o444) -> str:
    """Write a new file in an open folder, force it to the disk and return its name."""
    name = f"{NEW}{secrets.token_hex(8)}"
    crashpoint("files.write")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with opened(disk().beneath(at, name, flags, mode)) as handle:
            for block in _blocks(parts):
                pour(handle, block)
            crashpoint("files.write.unsynced")
            # A disk that failed here once may say yes the second time and have lost the bytes:
            # whoever tries again begins with a new file.
            disk().fsync(handle)
    except BaseException:
        discard(at, name)
        raise
    return name


def discard(at: int, name: str) -> None:
    """Take a half-made file away; a second failure must not hide the first."""
    with contextlib.suppress(OSError):
        disk().unlink(name, at)


def pour(handle: int, data: bytes) -> None:
    """Write all bytes, however few the system takes at a time."""
    view = memoryview(data)
    while view:
        taken = disk().write(handle, view)
        if not taken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        view = view[taken:]


def _blocks(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Gather small parts, so that a line is not a call of the system; pass large ones on."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= CHUNK:
            yield from [b"".join(waiting)] if len(waiting) > 1 else waiting
            waiting, size = [], 0
    if size:
        yield b"".join(waiting)


def settle(path: Path, target: Path) -> None:
    """Give a written file its name for good: rename, then force the folder to the disk."""
    try:
        at = disk().open(str(target.parent), _FOLDER)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    with opened(at):
        settle_at(at, path.name, target.name)


def settle_at(at: int, name: str, target: str) -> None:
    """Give a written file in an open folder its name for good."""
    crashpoint("files.settle")
    try:
        disk().rename(name, target, at)
    except BaseException:
        discard(at, name)
        raise
    crashpoint("files.settle.unsynced")
    disk().fsync(at)
    crashpoint("files.settle.done")


def folder(path: Path, below: Path | None = None) -> None:
    """Make the folders from `below` (by default: the nearest there is) down to `path`.

    Each is durable before the next. One that is there already is forced to the disk all the
    same: whoever made it may have died before that.
    """
    path = path.absolute()
    here = below.absolute() if below else next(up for up in path.parents if up.is_dir())
    for name in path.relative_to(here).parts:
        with opened(disk().open(str(here), _FOLDER)) as at:
            folder_at(at, name)
        here /= name


def folder_at(at: int, name: str, mode: int = 0o777) -> None:
    """Make one folder in an open folder, durably."""
    with contextlib.suppress(FileExistsError):
        disk().mkdir(name, mode, at)
    disk().fsync(at)


def sync(path: Path) -> None:
    """Force a folder's names to the disk."""
    with opened(disk().open(str(path), _FOLDER)) as at:
        disk().fsync(at)
