"""Telling witnesses of new checkpoints, without waiting for them.

Each witness has a thread of its own and is told the newest checkpoint that it has not seen. One
that is down is told at the next occasion; one that hangs holds up nobody. Which checkpoint each has
seen is kept in `.instar/witnesses`.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instar.core.errors import InstarError
from instar.ledger.notes import Note
from instar.ledger.safedir import SafeDir
from instar.ledger.witnesses import open_witness, shown
from instar.ledger.witnesses.witness import Witness

PATIENCE_S = 5.0  # how long a process waits for its witnesses, all in all


@dataclass(frozen=True, slots=True)
class Told:
    """Say which checkpoint a witness has seen (0: none), and why it has not seen the next."""

    witness: str
    size: int = 0
    problem: str = ""


class Telling:
    """Tell each witness of a workspace; never raise, never wait.

    Args:
        home: The workspace's own folder, `.instar`.
        addresses: `store.witnesses` of the policy.
    """

    def __init__(self, home: Path, addresses: Sequence[str]) -> None:
        self._tellers = [_Teller(home, address) for address in addresses]
        self._patience_s = PATIENCE_S
        self._waits = False

    def tell(self, note: Note) -> None:
        """Have everyone told who has not seen this checkpoint."""
        if self._tellers and not self._waits:
            self._waits = True
            atexit.register(self.settle)
        for teller in self._tellers:
            teller.tell(note)

    def settle(self) -> None:
        """Wait until all have been told, as long as there is patience left."""
        end = time.monotonic() + self._patience_s
        for teller in self._tellers:
            teller.join(max(0.0, end - time.monotonic()))
        self._patience_s = max(0.0, end - time.monotonic())

    def told(self) -> list[Told]:
        """Say what each witness has seen."""
        return [teller.told() for teller in self._tellers]


class _Teller:
    """One witness, with at most one checkpoint waiting: a newer one covers it."""

    def __init__(self, home: Path, address: str) -> None:
        self._root, self._place, self._address = home.parent, SafeDir(home), address
        self._memory = f"witnesses/{hashlib.sha256(address.encode()).hexdigest()[:16]}.json"
        self._lock = threading.Lock()
        self._next: Note | None = None
        self._thread: threading.Thread | None = None

    def tell(self, note: Note) -> None:
        with self._lock:
            if note.size <= self.told().size:
                return
            self._next = note
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def join(self, seconds: float) -> None:
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def told(self) -> Told:
        try:
            kept = json.loads(self._place.read(self._memory))
            return Told(shown(self._address), int(kept["size"]), str(kept["problem"]))
        except (OSError, InstarError, ValueError, KeyError, TypeError):
            return Told(shown(self._address))  # told again: no harm

    def _run(self) -> None:
        witness: Witness | None = None
        while True:
            with self._lock:
                note, self._next = self._next, None
                if note is None:
                    self._thread = None
                    return
            try:
                witness = witness or open_witness(self._address, self._root)
                witness.tell(note)
                self._remember(note.size, "")
            except InstarError as error:
                self._remember(self.told().size, error.got)

    def _remember(self, size: int, problem: str) -> None:
        text = json.dumps({"size": size, "problem": problem})
        with contextlib.suppress(InstarError):  # then it is told once more
            self._place.keep(self._memory, [text.encode()])
