"""The file layer: the only place that makes bytes durable."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from instar.core.crash import crashpoint
from instar.core.errors import BackendError

CHUNK = 1 << 20


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


@contextlib.contextmanager
def mapped() -> Iterator[None]:
    """Turn what the system refuses into `StoreFailed`."""
    try:
        yield
    except OSError as error:
        raise StoreFailed(error) from error


def chunks(path: Path) -> Iterator[bytes]:
    """Read a file in chunks of 1 MiB; a symbolic link in its place is refused."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def write(folder: Path, parts: Iterable[bytes], mode: int = 0o444) -> Path:
    """Write a new read-only file under a name of its own and force it to the disk.

    The file stands in the folder it is meant for, so that `settle` is one rename. A failed
    write leaves nothing behind.
    """
    path = folder / f".new-{secrets.token_hex(8)}"
    crashpoint("files.write")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            crashpoint("files.write.unsynced")
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def settle(path: Path, target: Path) -> None:
    """Give a written file its name for good: rename, then force the folder to the disk."""
    crashpoint("files.settle")
    path.rename(target)
    crashpoint("files.settle.unsynced")
    sync(target.parent)
    crashpoint("files.settle.done")


def folder(path: Path, below: Path | None = None) -> None:
    """Make the folders from `below` (by default: the nearest there is) down to `path`.

    Each is durable before the next. One that is there already is forced to the disk all the
    same: whoever made it may have died before that.
    """
    path = path.absolute()
    here = below.absolute() if below else next(up for up in path.parents if up.is_dir())
    for name in path.relative_to(here).parts:
        (here / name).mkdir(exist_ok=True)
        sync(here)
        here /= name


def sync(path: Path) -> None:
    """Force a folder's names to the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
