"""A ledger with three checkpoints, and whoever would like it to say something else."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from instar.core import merkle
from instar.core.digest import PREFIX, canonical, digest_json
from instar.core.policy import StoreSettings
from instar.ledger import notes, rows
from instar.ledger.checkpoints import Checkpoints
from instar.ledger.entry import GENESIS
from instar.ledger.journal import SqliteJournal
from instar.ledger.keys import private_key
from instar.ledger.notes import Note
from instar.ledger.telling import Telling
from instar.service import audit
from instar.testing.contracts.journal import crown, note

VERIFIER = Path(__file__).parents[2] / "verifier" / "verify_ledger.py"
ENTRIES = 70
DEEP = "[" * 100_000 + "]" * 100_000
BODIES = ("ä\u2028 line \u0085 separators \x7f", 'said, "epoch":7', "x" * 50)


def fill(home: Path, witnesses: tuple[str, ...] = ()) -> None:
    """Write entries of every kind, with checkpoints of 1, 65 and 70 of them."""
    signing = Checkpoints(home, Telling(home, witnesses))
    journal = SqliteJournal(home / "ledger.db", lambda: 1.0, signing)
    crown(journal, None)
    for number in range(2, ENTRIES + 1):
        journal.append(
            "plan" if number % 3 else "training",
            {"text": BODIES[number % 3], "list": [1.5, None, {"a": 1, "epoch": 7}]},
            update=f"u{number // 9:04}",
            model="demand",
            actor="ana",
            key=f"k{number}" if number % 2 else None,
            work={"stage": "plan", "epoch": 3} if number % 4 == 0 else None,
        )
    journal.checkpoint()
    journal.close()


def export(home: Path, folder: Path) -> Path:
    journal = SqliteJournal(home / "ledger.db", signing=Checkpoints(home))
    audit.export(journal, home, folder)
    journal.close()
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def more(home: Path, count: int = 5) -> Note:
    """Let the ledger grow, and return its newest checkpoint."""
    journal = SqliteJournal(home / "ledger.db", lambda: 1.0, Checkpoints(home))
    for _ in range(count):
        note(journal)
    journal.checkpoint()
    journal.close()
    return notes.read((home / "checkpoint").read_text("utf-8"))


def signer(home: Path) -> Ed25519PrivateKey:
    key = private_key(home, "ledger")
    assert isinstance(key, Ed25519PrivateKey)
    return key


def lines(folder: Path) -> list[bytes]:
    return (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)


def put(folder: Path, made: list[bytes]) -> None:
    (folder / "ledger.jsonl").write_bytes(b"".join(made))


def kept(folder: Path) -> list[str]:
    """List the notes of an export."""
    text = (folder / "checkpoints").read_text("utf-8")
    parts = text.split("\n\n")
    return [f"{head}\n\n{tail}\n" for head, tail in zip(parts[::2], parts[1::2], strict=False)]


def keep(folder: Path, made: list[str]) -> None:
    (folder / "checkpoints").write_text("".join(f"{text}\n" for text in made), "utf-8")


def resealed(made: list[bytes], change: dict[int, dict[str, Any]]) -> list[bytes]:
    """Change entries by their number and seal the whole chain anew, as a forger would."""
    prev, done = GENESIS, []
    for line in made:
        entry = json.loads(line)
        entry |= change.get(entry["seq"], {})
        entry["prev"] = prev
        del entry["hash"]
        entry["hash"] = prev = digest_json(entry)
        done.append(canonical(entry) + b"\n")
    return done


def root(made: list[bytes]) -> bytes:
    frontier = merkle.Frontier()
    for line in made:
        frontier.add(bytes.fromhex(json.loads(line)["hash"].removeprefix(PREFIX)))
    return frontier.root()


def reseal_database(home: Path, seq: int, actor: str) -> None:
    """Change an entry of the database, and seal it and all that follow anew."""
    with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
        connection.execute("UPDATE entries SET actor = ? WHERE seq = ?", (actor, seq))
        prev = GENESIS
        for row in connection.execute("SELECT * FROM entries ORDER BY seq").fetchall():
            made = [*row]
            made[10] = prev
            prev = rows.seal(made)
            connection.execute(
                "UPDATE entries SET prev = ?, hash = ? WHERE seq = ?", (made[10], prev, row[0])
            )


def sql(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def verified(home: Path, witnesses: tuple[str, ...] = ()) -> dict[str, Any]:
    """Do what `instar audit verify` does."""
    return audit.verify(home, StoreSettings(witnesses=witnesses))


@contextlib.contextmanager
def arguments(*words: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["verify_ledger.py", *map(str, words)])
        yield


def verifier() -> ModuleType:
    """Load the separate verifier, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("verify_ledger", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(module: ModuleType, *words: object) -> tuple[int, str]:
    """Run the separate verifier in this process; return its exit code and what it said."""
    said = io.StringIO()
    with arguments(*words), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = module.main()
        except SystemExit as error:
            code = error.code
    return code, said.getvalue()
