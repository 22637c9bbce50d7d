"""A folder of ours, held by a handle: names in it cannot mean anything outside it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from instar.core.errors import InputError, IntegrityError
from instar.core.names import is_plain
from instar.ledger import files
from instar.ledger.files import UnsafeFile

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
_SHARE = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
_LINKS = (errno.ELOOP, errno.EXDEV)
# Of a socket the kernel says ENXIO, of a folder opened for writing EISDIR, of a file in the place
# of a folder on the way ENOTDIR.
_NO_FILES = (errno.ENXIO, errno.EISDIR, errno.ENOTDIR)


class UnsafeName(InputError):
    """Refuse a name that could mean another place, before it touches the disk."""

    code = "input.unsafe_name"

    def __init__(self, name: str) -> None:
        super().__init__(
            "a name of letters, digits, dots, dashes and underscores",
            ascii(name[:80]),
            "choose another name",
        )


class MovedFolder(IntegrityError):
    """Report a folder that was removed, replaced, or is a link: nothing is read or written."""

    code = "integrity.moved_folder"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the folder {name!r} itself in its place",
            "another folder, a link, or nothing",
            "put it back as it was, then start again",
        )


class SafeDir:
    """Keep files below a root, which is opened once and held.

    Every name is resolved below the handle, by the kernel, through no link. Only regular files
    with one hard link are read. Where the root's path means another folder by now, nothing is
    touched any more. A missing file is `FileNotFoundError`; all else that the system refuses is
    `StoreFailed`.

    Args:
        root: The folder; it is made, durably, by the first write.
    Example:
        >>> import tempfile
        >>> place = SafeDir(Path(tempfile.mkdtemp()) / "keys")
        >>> place.keep("a.json", [b"{}"])
        >>> place.read("a.json"), place.list()
        (b'{}', ['a.json'])
        >>> place.read("../a.json")
        Traceback (most recent call last):
        instar.ledger.safedir.UnsafeName: wanted a name of letters, ...
    """

    def __init__(self, root: Path, mode: int = 0o777) -> None:
        self.root = root
        self._mode = mode  # of folders that are made
        self._opening = threading.Lock()
        self._held: int | None = None
        self._durable = False  # whether the root's own name was forced to the disk

    # Reading.

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            FileNotFoundError: there is none.
            UnsafeFile: something else than a file with one name stands there.
            UnsafeName: the name could mean another place.
            MovedFolder: the root is not what it was.
        """
        return os.fdopen(self._readable(name), "rb")

    def chunks(self, name: str) -> Iterator[bytes]:
        """Read a file in chunks of 1 MiB; raises as `open` does."""
        with _told(name):
            yield from files.pieces(self._readable(name))

    def read(self, name: str) -> bytes:
        """Read a file whole; raises as `open` does."""
        return b"".join(self.chunks(name))

    def holds(self, name: str) -> bool:
        """Tell whether there is a file of that name; raises as `open` does, but for this."""
        try:
            os.close(self._readable(name))
        except FileNotFoundError:
            return False
        return True

    def list(self, folder: str = ".") -> list[str]:
        """List the names in a folder, sorted; none where it does not exist."""
        try:
            with _told(folder), self._at(folder) as at:
                return sorted(files.disk().list(at))
        except FileNotFoundError:
            return []

    # Writing.

    def keep(
        self,
        name: str,
        parts: Iterable[bytes],
        mode: int = 0o444,
        proof: Callable[[Iterator[bytes]], None] | None = None,
    ) -> None:
        """Put a file in the place of the last one of that name: whole, at once and durably.

        It is written under a name of its own, forced to the disk, read back, and only then named.
        A failure leaves nothing; whoever tries again begins with a new file.

        Args:
            name: Where; folders on the way are made.
            parts: The bytes, in order.
            mode: Rights of the file.
            proof: Is given what the disk gives back, in chunks, and raises if it is not right.
        """
        folder, leaf = _parent(name), name.rpartition("/")[2]
        _check(name)
        self.make(folder)
        # One handle from beginning to end: where handles run out, the way back needs none.
        with _made(name), self._at(folder) as at:
            new = files.write_at(at, parts, mode)
            try:
                if proof:
                    proof(files.pieces(files.disk().beneath(at, new, _READ)))
            except BaseException:
                files.discard(at, new)
                raise
            files.settle_at(at, new, leaf)

    def make(self, folder: str = ".") -> None:
        """Make a folder, with those above it, each durable before the next."""
        if folder != ".":
            _check(folder)
        with _made(folder):
            if self._held is not None:
                self._root()  # one that was taken away is not made again
            if not self._durable:
                files.folder(self.root)
                self._durable = True
            here, parts = ".", [] if folder == "." else folder.split("/")
            for part in parts:
                with self._at(here) as at:
                    files.folder_at(at, part, self._mode)
                here = part if here == "." else f"{here}/{part}"

    def sync(self, folder: str = ".") -> None:
        """Force a folder's names to the disk."""
        with _made(folder), self._at(folder) as at:
            files.disk().fsync(at)

    def append(self, name: str, data: bytes) -> int:
        """Add bytes to the end of a file, not forced to the disk; return how long it is now."""
        self.make(_parent(name))
        with _made(name), files.opened(self._appending(name)) as handle:
            files.pour(handle, data)
            return os.fstat(handle).st_size

    def rename(self, name: str, to: str) -> None:
        """Give a file another name in its folder, not forced to the disk."""
        _check(name)
        _check(to)
        with _made(name), self._at(_parent(name)) as at:
            files.disk().rename(name.rpartition("/")[2], to.rpartition("/")[2], at)

    def remove(self, name: str) -> None:
        """Remove a file, durably; one that is not there changes nothing."""
        _check(name)
        with contextlib.suppress(FileNotFoundError), _told(name), self._at(_parent(name)) as at:
            with contextlib.suppress(FileNotFoundError):
                files.disk().unlink(name.rpartition("/")[2], at)
            files.disk().fsync(at)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Be the only one, among all processes, between entry and exit; others wait."""
        self.make(_parent(name))
        with _made(name):
            handle = self._appending(name)
        with files.opened(handle):
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def locked(self, how: int) -> Iterator[None]:
        """Hold a lock on the folder itself: `LOCK_SH` beside others, `LOCK_EX` alone.

        It ends with the process, however that ends, and leaves no file that a sweep would meet.
        """
        self.make()
        with contextlib.ExitStack() as held:
            with _made("."):
                fcntl.flock(held.enter_context(self._at(".")), how)
            yield

    def look(self, name: str) -> os.stat_result:
        """Tell size and age of what stands under a name; a link is not followed.

        Raises:
            FileNotFoundError: nothing does.
        """
        _check(name)
        with _told(name), self._at(_parent(name)) as at:
            return os.stat(name.rpartition("/")[2], dir_fd=at, follow_symlinks=False)

    def renew(self, name: str) -> bool:
        """Make a file as young as a new one; False where it is another user's."""
        _check(name)
        with _made(name), self._at(_parent(name)) as at:
            try:
                os.utime(name.rpartition("/")[2], dir_fd=at, follow_symlinks=False)
            except PermissionError:
                return False
        return True

    def move(self, name: str, to: str) -> None:
        """Give a file another name, in another folder, durably."""
        _check(name)
        _check(to)
        self.make(_parent(to))
        with _made(name), self._at(_parent(name)) as old, self._at(_parent(to)) as new:
            leaf, other = name.rpartition("/")[2], to.rpartition("/")[2]
            files.disk().rename(leaf, other, old, new)
            files.disk().fsync(new)
            files.disk().fsync(old)

    def appending(self, name: str) -> BinaryIO:
        """Open a file to add to its end, say for a child's error output."""
        self.make(_parent(name))
        with _made(name):
            return os.fdopen(self._appending(name), "ab")

    def shared(self, name: str, size: int) -> mmap.mmap:
        """Map a file into memory that all its users share; it is made, and grows to `size`.

        Its room is reserved first: a page of a file that the disk has no room for would kill
        whoever writes it.

        Raises:
            UnsafeFile, UnsafeName, MovedFolder: as `open` does.
            StoreFailed: there is no room for it.
        """
        self.make(_parent(name))
        _check(name)
        with _made(name):
            made = files.disk().beneath(self._root(), name, _SHARE, 0o600)
            with files.opened(files.plain(made, name)) as handle:
                os.posix_fallocate(handle, 0, size)
                return mmap.mmap(handle, os.fstat(handle).st_size)

    # Handles.

    def _readable(self, name: str) -> int:
        _check(name)
        with _told(name):
            return files.plain(files.disk().beneath(self._root(), name, _READ), name)

    def _appending(self, name: str) -> int:
        _check(name)
        return files.plain(files.disk().beneath(self._root(), name, _APPEND, 0o600), name)

    @contextlib.contextmanager
    def _at(self, folder: str) -> Iterator[int]:
        if folder != ".":
            _check(folder)
        with files.opened(files.disk().beneath(self._root(), folder, _FOLDER)) as handle:
            yield handle

    def _root(self) -> int:
        """Return the root's handle, as long as its path still means the same folder."""
        with self._opening:
            if self._held is None:
                self._held = self._hold()
            held = os.fstat(self._held)
            try:
                named = self.root.lstat()
            except (FileNotFoundError, NotADirectoryError) as error:
                raise MovedFolder(self.root.name) from error
            if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
                raise MovedFolder(self.root.name)
            return self._held

    def _hold(self) -> int:
        try:
            handle = files.disk().open(str(self.root), _FOLDER | os.O_NOFOLLOW)
        except NotADirectoryError as error:
            with contextlib.suppress(OSError):
                if stat.S_ISLNK(self.root.lstat().st_mode):
                    raise MovedFolder(self.root.name) from error
            raise
        weakref.finalize(self, os.close, handle)
        return handle


def _check(name: str) -> None:
    if not is_plain(name):
        raise UnsafeName(name)


def _parent(name: str) -> str:
    return name.rpartition("/")[0] or "."


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Put what the system refuses into our words; a missing file stays what it is."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _LINKS:
            raise UnsafeFile(name, "a link") from error
        if error.errno in _NO_FILES:
            raise UnsafeFile(name, "something that is no regular file") from error
        raise files.failure(error) from error


@contextlib.contextmanager
def _made(name: str) -> Iterator[None]:
    """Put what the system refuses into our words, a folder that vanished too."""
    try:
        with _told(name):
            yield
    except FileNotFoundError as error:
        raise files.failure(error) from error
