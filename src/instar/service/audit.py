"""Believing the record: the ledger held against itself, its checkpoints and its witnesses."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar.core.errors import InstarError, TakenFolder

if TYPE_CHECKING:
    from instar.core.policy import StoreSettings
    from instar.ledger.chain import Mark
    from instar.ledger.journal import Journal

BROKEN = 4
VERDICTS = {"altered": 41, "unlinked": 41, "cut": 42, "older": 43, "signature": 44, "witness": 45}
"""The exit code of each kind of problem; where there are several, the lowest one counts."""

PATIENCE_S = 30.0  # how long witnesses may take to say what they have seen


def verify(home: Path, store: StoreSettings, *, deep: bool = False) -> dict[str, Any]:
    """Hold the ledger of a workspace against itself, its checkpoints and its witnesses.

    Args:
        home: The workspace's own folder, `.instar`.
        store: Where the policy says that entries are kept, and who its witnesses are.
        deep: Look into the database's own structures, too.
    Returns:
        `entries` (None where there are problems), `problems` in words, `witnesses` with what each
        has seen, and `exit_code`: 0, or that of the gravest problem.
    """
    from instar.ledger.journal import OlderLedger
    from instar.ledger.stores import open_any

    try:
        journal = open_any(home, store)
    except OlderLedger as error:
        return _verdict(None, [("older", str(error))], [])
    try:
        marks, witnesses = _witnessed(home, store.witnesses)
        problems = journal.verify(marks, deep=deep)
        entries = None if problems else journal.count()
    finally:
        journal.close()
    told = [(problem.code, f"entry {problem.seq}: {problem.message}") for problem in problems]
    return _verdict(entries, told, witnesses)


def _verdict(
    entries: int | None, problems: Sequence[tuple[str, str]], witnesses: list[dict[str, Any]]
) -> dict[str, Any]:
    codes = [VERDICTS[code] for code, _ in problems if code in VERDICTS]
    return {
        "entries": entries,
        "problems": [message for _, message in problems],
        "witnesses": witnesses,
        "exit_code": min(codes) if codes else BROKEN if problems else 0,
    }


def _witnessed(home: Path, addresses: Sequence[str]) -> tuple[list[Mark], list[dict[str, Any]]]:
    """Ask every witness at once; one that does not answer in time is passed over, and told."""
    from instar.ledger.telling import Telling

    asked = [_Asked(home, address) for address in addresses]
    for one in asked:
        one.thread.join(PATIENCE_S)
    marks = [mark for one in asked for mark in one.marks]
    told = zip(asked, Telling(home, addresses).told(), strict=True)
    return marks, [
        {"witness": known.witness, "told": known.size, "problem": one.problem or known.problem}
        for one, known in told
    ]


class _Asked:
    """One witness that is being asked what it has seen."""

    def __init__(self, home: Path, address: str) -> None:
        self._home, self._address = home, address
        self.marks: list[Mark] = []
        self.problem = "no answer in time"
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self) -> None:
        from instar.ledger import notes
        from instar.ledger.chain import Mark
        from instar.ledger.keys import public_key
        from instar.ledger.witnesses import open_witness, shown

        by = f"the witness {shown(self._address)}"
        try:
            key = public_key(self._home)
            kept = (
                open_witness(self._address, self._home.parent).seen(notes.origin(key))
                if key
                else ()
            )
            found = [
                Mark(seen.size, seen.root, "witness", by, seen.flaw and f"{by} keeps {seen.flaw}")
                for seen in kept or ()
            ]
        except InstarError as error:
            self.problem = error.got
            return
        self.marks, self.problem = found, ""


def export(journal: Journal, home: Path, folder: Path) -> dict[str, Any]:
    """Write `ledger.jsonl`, `checkpoints` and `ledger.pub` for somebody who verifies them.

    Raises:
        TakenFolder: there is something in the folder.
    """
    from instar.ledger import files
    from instar.ledger.keys import pem, public_key

    with files.mapped():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise TakenFolder(folder.name, "it holds files")
        files.folder(folder)
    journal.checkpoint()
    count = journal.export(folder / "ledger.jsonl", folder / "checkpoints")
    key = public_key(home)
    if key is not None:
        with files.mapped():
            files.settle(files.write(folder, [pem(key)]), folder / "ledger.pub")
    return {"folder": str(folder), "entries": count}
