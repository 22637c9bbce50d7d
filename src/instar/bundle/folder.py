"""A folder of files from outside, looked at through handles: nothing in it leads out of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from instar.bundle import signature as oms
from instar.bundle.errors import OddFile, TooManyFiles
from instar.core.digest import PREFIX
from instar.core.errors import NoSuchFile

MOST = 100_000  # files in a folder
DEEPEST = 32  # folders in one another
CHUNK = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def digests(place: Path, own: str = "") -> dict[str, str]:
    """Name every file in a folder by its digest, hidden ones too.

    Args:
        place: The folder, or one file.
        own: The name of the signature's own file, which is left out.
    Returns:
        Digest by name, `/` between folders; a single file stands under its own name.
    Raises:
        NoSuchFile: there is no such place.
        OddFile: something is no regular file with one name: a link, a pipe, a device.
        TooManyFiles: there are more than can be looked at.
    """
    with opened(place) as handle:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            return {place.name: _digest(handle, place.name)}
        found: dict[str, str] = {}
        for name, digest in _walk(handle, "", 0):
            if name != own:
                found[name] = digest
            if len(found) > MOST:
                raise TooManyFiles(MOST)
        return found


def read(place: Path, limit: int) -> bytes:
    """Read one small file from outside, whole.

    Raises:
        NoSuchFile: there is none.
        OddFile: it is no regular file with one name, or larger than `limit` bytes.
    """
    with opened(place) as handle:
        _regular(handle, place.name)
        parts, size = [], 0
        while size <= limit and (part := os.read(handle, CHUNK)):
            parts.append(part)
            size += len(part)
    data = b"".join(parts)
    if len(data) > limit:
        raise OddFile(place.name, f"more than {limit:,} bytes")
    return data


def verify(
    place: Path, signature: bytes, keys: Iterable[bytes], own: str = ""
) -> tuple[str, dict[str, str]]:
    """Hold a folder, or one file, against its signature.

    Args:
        own: The name of the signature's own file in the folder, if it lies there.
    Returns:
        The digest over all digests, which names the files as a whole; and digest by name.
    Raises:
        BadSignature: a file is missing, extra or another; or the signature does not count.
        NotAKey: one of `keys` is no public key.
    """
    wanted = oms.read(signature, keys, own)
    found = digests(place, own)
    if list(wanted) == [oms.SINGLE]:  # one file, whatever its name: what it holds was signed
        wanted = {place.name: wanted[oms.SINGLE]}
    oms.check(found, wanted)
    raw = b"".join(bytes.fromhex(digest.removeprefix(PREFIX)) for digest in wanted.values())
    return PREFIX + hashlib.sha256(raw).hexdigest(), wanted


def _walk(folder: int, above: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        raise TooManyFiles(MOST)
    for name in sorted(os.listdir(folder)):
        full = above + name
        if not oms.safe(full):
            raise OddFile(ascii(full), "a name that cannot be written down")
        with opened(name, folder, full) as handle:
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                yield from _walk(handle, full + "/", depth + 1)
            else:
                yield full, _digest(handle, full)


@contextlib.contextmanager
def opened(path: Path | str, folder: int | None = None, name: str = "") -> Iterator[int]:
    """Hold a file or folder open; what the system refuses is told without its place."""
    name = name or Path(path).name
    try:
        handle = os.open(path, _FLAGS, dir_fd=folder)
        try:
            yield handle
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchFile(name) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise OddFile(name, "a link, or not to be read") from error


def _digest(handle: int, name: str) -> str:
    _regular(handle, name)
    seen = hashlib.sha256()
    while chunk := os.read(handle, CHUNK):
        seen.update(chunk)
    return PREFIX + seen.hexdigest()


def _regular(handle: int, name: str) -> None:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise OddFile(name, "no regular file")
    if found.st_nlink != 1:
        raise OddFile(name, "a file with a second name somewhere else")
