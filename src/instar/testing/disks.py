"""Disks that lose power, and disks that fail: put one in place with `instar.ledger.files.using`.

    shadow = ShadowDisk(folder)
    with files.using(shadow):
        artifacts.put(b"weights")
        shadow.done("put")                # acknowledged
    for cut in shadow.cuts():
        for seed in range(8):
            done = shadow.crash(cut, seed, into=elsewhere)   # what the disk may hold now

A real power cut leaves what was forced to the disk, and any part of the rest. The shadow disk
knows which is which, because it saw every operation; so one run yields every crash.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from instar.ledger.files import Disk


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that was asked of the disk.

    `kind` is `make`, `folder`, `rename`, `unlink` (of names, in the folder of `name`), `write`,
    `truncate` (of bytes, in `file`), `sync` (of a file), `names` (of a folder, `name`) or `done`
    (`name` was acknowledged). `at` is an offset or a length in bytes.
    """

    kind: str
    name: str = ""
    to: str = ""
    file: int = -1
    at: int = 0
    data: bytes = b""


_NAMES = ("make", "folder", "rename", "unlink")
_BYTES = ("write", "truncate")
_LOST, _KEPT, _EMPTY, _ZEROS = range(4)  # the seeds whose crash is the same for every operation


class ShadowDisk(Disk):
    """Do what is asked, remember it, and tell what a power cut could have left of it.

    Names that were not forced to the disk (by `fsync` of their folder) are lost or kept, each by
    itself; bytes that were not are lost, kept, torn or, where the file grew, zeros. Nothing is
    forced to the real disk: it is not the one that is tried.

    Args:
        root: The folder that is watched; what lies in it now is on the disk.
    Source:
        Pillai et al. 2014, "All File Systems Are Not Created Equal" (ALICE): which states a
        crash may leave.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.operations: list[Operation] = []
        self._first: dict[str, int] = {}  # names before the first operation
        self._folders = {"."}
        self._content: dict[int, bytes] = {}
        self._files: dict[str, int] = {}  # names now
        self._count = itertools.count()
        self._numbers: dict[int, int] = {}  # inode -> number; inodes are used again, numbers not
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_dir():
                self._folders.add(name)
            else:
                number = self._number(name, path.stat().st_ino)
                self._first[name] = number
                self._content[number] = path.read_bytes()

    # What the file layer asks.

    def beneath(self, root: int, name: str, flags: int, mode: int = 0) -> int:
        handle = super().beneath(root, name, flags, mode)
        if flags & os.O_CREAT and (place := self._name(handle)):
            self.made(place)
        return handle

    def write(self, handle: int, data: memoryview) -> int:
        appends = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_APPEND
        at = os.fstat(handle).st_size if appends else os.lseek(handle, 0, os.SEEK_CUR)
        taken = super().write(handle, data)
        if (number := self._known(handle)) is not None:
            self.wrote(number, at, bytes(data[:taken]))
        return taken

    def fsync(self, handle: int) -> None:
        place = self._name(handle)
        if place is not None and (self.root / place).is_dir():
            self._note("names", place)
        elif (number := self._known(handle)) is not None:
            self.synced(number)

    def rename(self, old: str, new: str, at: int, to: int | None = None) -> None:
        super().rename(old, new, at, to)
        if place := self._name(at):
            old, new = _join(place, old), _join(self._name(to or at) or place, new)
            self._files[new] = number = self._files.pop(old)
            self._note("rename", old, to=new, file=number)

    def unlink(self, name: str, at: int) -> None:
        super().unlink(name, at)
        if place := self._name(at):
            self.unlinked(_join(place, name))

    def mkdir(self, name: str, mode: int, at: int) -> None:
        super().mkdir(name, mode, at)
        if place := self._name(at):
            self._note("folder", _join(place, name))

    # What is noted, also by a database (`testing.vfs`).

    def made(self, name: str) -> int:
        """Note that a file was opened for writing, which makes it; return its number."""
        if name not in self._files:
            number = self._number(name, (self.root / name).stat().st_ino)
            self._note("make", name, file=number)
        return self._files[name]

    def wrote(self, number: int, at: int, data: bytes) -> None:
        """Note that bytes were written at an offset."""
        self._note("write", file=number, at=at, data=data)

    def truncated(self, number: int, size: int) -> None:
        """Note that a file was cut to a length."""
        self._note("truncate", file=number, at=size)

    def synced(self, number: int) -> None:
        """Note that a file's bytes are on the disk."""
        self._note("sync", file=number)

    def names_synced(self, folder: str) -> None:
        """Note that a folder's names are on the disk."""
        self._note("names", folder)

    def unlinked(self, name: str) -> None:
        """Note that a name was taken away."""
        self._files.pop(name, None)
        self._note("unlink", name)

    def done(self, what: str) -> None:
        """Note that something was acknowledged: from here on it must be there."""
        self._note("done", what)

    # The power cut.

    def cuts(self) -> Iterator[int]:
        """Give every moment at which the power can fail: before each operation, and at the end."""
        yield from range(len(self.operations) + 1)

    def crash(self, cut: int, seed: int, into: Path) -> list[str]:
        """Build what the disk may hold after a power cut, and tell what was acknowledged.

        Args:
            cut: How many operations were begun; the last one may be half done.
            seed: 0 loses everything that was not forced to the disk, 1 keeps it, 2 keeps names
                and loses bytes, 3 keeps names and has zeros for bytes; others draw for each.
            into: A new folder.
        """
        begun, chance = self.operations[:cut], random.Random(f"{cut} {seed}")
        names, folders = self._left_names(begun, seed, chance)
        content = self._left_bytes(begun, seed, chance)
        into.mkdir(parents=True)
        for folder in sorted(folders - {"."}):
            (into / folder).mkdir(parents=True, exist_ok=True)
        for name, number in names.items():
            if parent(name) in folders:
                (into / name).write_bytes(content.get(number, b""))
        return [operation.name for operation in begun if operation.kind == "done"]

    def _left_names(
        self, begun: list[Operation], seed: int, chance: random.Random
    ) -> tuple[dict[str, int], set[str]]:
        names, folders = dict(self._first), set(self._folders)
        for place, one in enumerate(begun):
            if one.kind not in _NAMES:
                continue
            # A name that went to another folder is forced to the disk by either of the two.
            touched = {parent(one.name), parent(one.to or one.name)}
            forced = any(o.kind == "names" and o.name in touched for o in begun[place:])
            if not forced and (seed == _LOST or (seed > _ZEROS and chance.random() < 0.5)):
                continue
            if one.kind == "folder":
                folders.add(one.name)
            elif one.kind == "make":
                names[one.name] = one.file
            elif one.kind == "unlink":
                names.pop(one.name, None)
            else:
                names[one.to] = one.file
                names.pop(one.name, None)
        alive = {f for f in folders if all(str(up) in folders for up in Path(f).parents)}
        return names, alive

    def _left_bytes(
        self, begun: list[Operation], seed: int, chance: random.Random
    ) -> dict[int, bytes]:
        content = {number: bytearray(data) for number, data in self._content.items()}
        last = {one.file: place for place, one in enumerate(begun) if one.kind == "sync"}
        for place, one in enumerate(begun):
            if one.kind in _BYTES:
                fate = _KEPT if place < last.get(one.file, -1) else _fate(seed, chance)
                _apply(content.setdefault(one.file, bytearray()), one, fate, chance)
        return {number: bytes(data) for number, data in content.items()}

    # Names and numbers.

    def _note(self, kind: str, name: str = "", **more: object) -> None:
        self.operations.append(Operation(kind, name, **more))  # type: ignore[arg-type] # its fields

    def _number(self, name: str, inode: int) -> int:
        number = self._numbers[inode] = next(self._count)
        self._files[name] = number
        return number

    def _known(self, handle: int) -> int | None:
        return self._numbers.get(os.fstat(handle).st_ino)

    def _name(self, handle: int) -> str | None:
        """Say where below the root an open file or folder lies; None where it does not."""
        place = Path(f"/proc/self/fd/{handle}").readlink()
        return str(place.relative_to(self.root)) if place.is_relative_to(self.root) else None


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def parent(name: str) -> str:
    return name.rpartition("/")[0] or "."


_TORN = 4


def _fate(seed: int, chance: random.Random) -> int:
    if seed <= _ZEROS:
        return seed
    return chance.choice((_LOST, _KEPT, _ZEROS, _TORN))


def _apply(content: bytearray, one: Operation, fate: int, chance: random.Random) -> None:
    if fate in (_LOST, _EMPTY):
        return
    if one.kind == "truncate":
        if len(content) < one.at:
            content.extend(bytes(one.at - len(content)))
        del content[one.at :]
        return
    data = one.data
    if fate == _TORN:
        data = data[: chance.randrange(len(data) + 1)]
    if fate == _ZEROS:
        # A block that was there keeps its bytes; a new one may come without any.
        grown = max(0, one.at + len(data) - max(one.at, len(content)))
        data = data[: len(data) - grown] + bytes(grown)
    if len(content) < one.at:
        content.extend(bytes(one.at - len(content)))
    content[one.at : one.at + len(data)] = data


class FailingDisk(Disk):
    """Fail the operation number `at` (from 1), once or from there on; count them all.

    A `short` disk takes only one byte of the write number `at`, and then fails or goes on.

    Example:
        >>> disk = FailingDisk(0, 28)  # counts only
        >>> disk.seen
        []
    """

    def __init__(self, at: int, code: int, *, lasting: bool = False, short: bool = False) -> None:
        self.at, self.code, self.lasting, self.short = at, code, lasting, short
        self.seen: list[str] = []

    def _pass(self, call: str) -> None:
        self.seen.append(call)
        count = len(self.seen)
        if self.at and (count == self.at or (self.lasting and count > self.at)):
            raise OSError(self.code, os.strerror(self.code))

    def open(self, path: str, flags: int) -> int:
        self._pass("open")
        return super().open(path, flags)

    def beneath(self, root: int, name: str, flags: int, mode: int = 0) -> int:
        self._pass("beneath")
        return super().beneath(root, name, flags, mode)

    def read(self, handle: int, size: int) -> bytes:
        self._pass("read")
        return super().read(handle, size)

    def write(self, handle: int, data: memoryview) -> int:
        if self.short and len(self.seen) + 1 == self.at:
            self.seen.append("write")
            return super().write(handle, data[:1])
        self._pass("write")
        return super().write(handle, data)

    def fsync(self, handle: int) -> None:
        self._pass("fsync")
        super().fsync(handle)

    def rename(self, old: str, new: str, at: int, to: int | None = None) -> None:
        self._pass("rename")
        super().rename(old, new, at, to)

    def unlink(self, name: str, at: int) -> None:
        self._pass("unlink")
        super().unlink(name, at)

    def mkdir(self, name: str, mode: int, at: int) -> None:
        self._pass("mkdir")
        super().mkdir(name, mode, at)

    def list(self, handle: int) -> list[str]:
        self._pass("list")
        return super().list(handle)
