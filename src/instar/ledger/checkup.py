"""What a workspace's stores are like, for `instar doctor`: looked at, and left as they are."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import func, select

from instar.ledger import rows, sqlite
from instar.ledger.entry import Entry
from instar.ledger.tables import checkpoints, entries, meta


class Database(NamedTuple):
    """How SQLite keeps the journal: as the connections that Instar opens have it."""

    mode: str
    synchronous: str
    mmap: int
    schema: int
    head: Entry | None
    checkpoint: int | None


def library() -> tuple[str, str, str]:
    """Give SQLite's version, the journal mode it is used with, and why."""
    mode = sqlite.journal_mode()
    safe = ".".join(str(number) for number in sqlite.WAL_IS_SAFE)
    why = (
        f"{safe} and later have no WAL-reset bug"
        if mode == "WAL"
        else f"before {safe} the WAL can corrupt a database under two writers"
    )
    return sqlite3.sqlite_version, mode, why


def database(path: Path) -> Database:
    """Open the journal's file, with its quick check, and say how it is kept.

    Raises:
        InstarError: the file cannot be opened, is damaged, or of a newer schema.
    """
    engine = sqlite.connect(path)
    try:
        with engine.connect().execution_options(reads=True) as connection:

            def ask(name: str) -> Any:
                return connection.exec_driver_sql(f"PRAGMA {name}").scalar()

            level = ("OFF", "NORMAL", "FULL", "EXTRA")[int(ask("synchronous"))]
            newest = connection.execute(
                select(entries).order_by(entries.c.seq.desc()).limit(1)
            ).one_or_none()
            return Database(
                mode=str(ask("journal_mode")).upper(),
                synchronous=level,
                mmap=int(ask("mmap_size") or 0),
                schema=int(connection.execute(select(meta.c.schema_version)).scalar_one()),
                head=rows.sound(newest) if newest else None,
                checkpoint=connection.execute(select(func.max(checkpoints.c.size))).scalar(),
            )
    finally:
        engine.dispose()


def writable(place: Path) -> str:
    """Say why a file or folder cannot be written; empty if it can. No path is told.

    A folder is tried with a file of its own, which is taken away again: rights alone do not tell
    of a disk that is mounted read-only.
    """
    owner = place.stat().st_uid
    if owner != os.geteuid() and os.geteuid() != 0:
        return "it belongs to another user"
    if not os.access(place, os.W_OK):
        return "it is read-only"
    try:
        if place.is_dir():
            trial = place / f".new-doctor-{os.getpid()}"
            os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            trial.unlink()
        else:
            os.close(os.open(place, os.O_RDWR))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
