"""A second directory as a witness: another disk, another machine's share, a WORM mount."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from instar.ledger import notes
from instar.ledger.notes import BadNote, Note
from instar.ledger.safedir import SafeDir
from instar.ledger.witnesses.witness import Seen, WitnessSilent, name, named, place


class Folder:
    """Keep each checkpoint as a read-only file of its own.

    The folder itself must be there: where a disk is not mounted, nothing must be written in its
    place.
    """

    def __init__(self, address: str, root: Path) -> None:
        self._base = root / address
        self._safe = SafeDir(self._base)

    def tell(self, note: Note) -> None:
        """Keep a checkpoint.

        Raises:
            WitnessSilent: the folder is not there.
            StoreFailed: it takes nothing.
        """
        if not self._base.is_dir():
            raise WitnessSilent("no such folder")
        target = f"{place(note.origin)}/{name(note)}"
        if not self._safe.holds(target):
            self._safe.keep(target, [note.text.encode()])

    def seen(self, origin: str) -> Iterator[Seen]:
        """Read what is kept of a ledger, smallest first.

        Raises:
            WitnessSilent: the folder is not there.
            StoreFailed: it cannot be read.
        """
        if not self._base.is_dir():
            raise WitnessSilent("no such folder")
        home = place(origin)
        for found in self._safe.list(home):
            if found.endswith(".note"):
                yield _kept(found, self._safe.read(f"{home}/{found}"))


def _kept(file: str, data: bytes) -> Seen:
    """Read one; what the file holds decides, and must be what its name says."""
    by_name = named(file)
    try:
        note = notes.read(data.decode())
    except (BadNote, UnicodeDecodeError):
        return Seen(by_name.size if by_name else 0, b"", "a file that is no checkpoint")
    found = Seen(note.size, note.root)
    return found if found == by_name else Seen(note.size, b"", "a file under another's name")
