"""SQLite as the ledger's database: how it is opened, and what its errors mean."""

from __future__ import annotations

import contextlib
import functools
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext

from instar.core.crash import crashpoint
from instar.core.errors import InstarError
from instar.ledger import files, rows, schema
from instar.ledger.chain import Mark
from instar.ledger.checkpoints import Checkpoints
from instar.ledger.entry import Problem
from instar.ledger.failures import LedgerBusy, LedgerDamaged, LedgerFailed
from instar.ledger.sql import SqlJournal
from instar.ledger.tables import entries, tables

# Up to 3.51.2 two connections that write and checkpoint at once can corrupt a database in WAL
# mode ("WAL-reset", fixed on 2026-03-13).
WAL_IS_SAFE = (3, 51, 3)
BUSY_S = 30.0
SMALL = 100_000  # entries whose indexes are always checked row by row


def journal_mode(library: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """Choose how SQLite keeps a transaction whole.

    The rollback journal is truncated, not deleted: with `synchronous=FULL` SQLite forces the
    truncation to the disk, but not the deletion, which a power cut could undo together with
    the transaction that it committed.

    Source:
        sqlite.org, "PRAGMA synchronous" (EXTRA) and "The WAL-reset bug".
    Example:
        >>> journal_mode((3, 40, 1)), journal_mode((3, 51, 3))
        ('TRUNCATE', 'WAL')
    """
    return "WAL" if library >= WAL_IS_SAFE else "TRUNCATE"


@dataclass(frozen=True, slots=True)
class Library:
    """Say which SQLite is at work, how it keeps a transaction whole, and why so."""

    version: str
    mode: str
    why: str


def verdict(library: tuple[int, ...] = sqlite3.sqlite_version_info) -> Library:
    """Judge the SQLite library that Python brought.

    Example:
        >>> found = verdict((3, 40, 1))
        >>> print(f"SQLite {found.version}, {found.mode}: {found.why}")
        SQLite 3.40.1, TRUNCATE: its WAL can corrupt a ledger with two writers (mended in 3.51.3)
    """
    mode, mended = journal_mode(library), ".".join(map(str, WAL_IS_SAFE))
    why = {
        "TRUNCATE": f"its WAL can corrupt a ledger with two writers (mended in {mended})",
        "WAL": f"its WAL is sound (since {mended}), and readers and a writer do not wait",
    }
    return Library(".".join(map(str, library)), mode, why[mode])


def _prepare(connection: Any, _record: object) -> None:
    """Set up a new connection; transactions are begun by `_begin`, not by the driver."""
    connection.isolation_level = None
    for pragma in (
        f"journal_mode={journal_mode()}",
        "synchronous=FULL",
        "mmap_size=0",
        "foreign_keys=ON",
        "secure_delete=ON",  # whoever is forgotten does not stay in free pages
        "trusted_schema=OFF",
    ):
        try:
            connection.execute(f"PRAGMA {pragma}").close()
        except UnicodeDecodeError as error:  # even what SQLite says of it is no text
            raise LedgerDamaged("a schema that is no text") from error
    # A text that is no UTF-8 any more is read all the same: its seal tells that it was altered.
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")


def _begin(connection: Connection) -> None:
    # A transaction that will write takes the write lock at once: one that reads first and is
    # upgraded later can fail halfway, and would have read what another is about to replace.
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


_MEANINGS: dict[int, Callable[[str], InstarError]] = {
    sqlite3.SQLITE_ERROR: LedgerDamaged,  # our statements are right, so the schema is not
    sqlite3.SQLITE_BUSY: lambda _: LedgerBusy(BUSY_S),
    sqlite3.SQLITE_LOCKED: lambda _: LedgerBusy(BUSY_S),
    sqlite3.SQLITE_CORRUPT: LedgerDamaged,
    sqlite3.SQLITE_NOTADB: LedgerDamaged,
}


def _meaning(context: ExceptionContext) -> InstarError | None:
    """Say in our words what SQLite reports; what breaks a rule of ours stays as it is."""
    error = context.original_exception
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return None
    return _MEANINGS.get(code & 0xFF, LedgerFailed)(str(error))  # the low byte is the class


def connect(path: Path) -> Engine:
    """Open the ledger's database, or lay it down, with its folder, where there is none.

    Raises:
        LedgerDamaged: the file is no database, or its quick check fails.
        NewerLedger: its schema is newer than this code.
        LedgerFailed: the file cannot be opened.
    """
    try:
        files.folder(path.parent)
    except OSError as error:
        raise LedgerFailed(error.strerror or type(error).__name__) from error
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _meaning, retval=True)
    try:
        with engine.connect().execution_options(reads=True) as connection:
            _sound(connection, "quick_check")
        schema.prepare(engine, functools.partial(keep_copy, path))
    except BaseException:
        engine.dispose()
        raise
    return engine


def _sound(connection: Connection, check: str) -> None:
    problem = connection.exec_driver_sql(f"PRAGMA {check}(1)").scalar_one()
    if problem != "ok":
        raise LedgerDamaged(str(problem))


def keep_copy(path: Path, version: int) -> None:
    """Keep a database as it is beside itself, `ledger.db.v1.bak`, checked row by row.

    Raises:
        LedgerFailed: it could not be copied.
        LedgerDamaged: the copy is not what was copied.
    """
    kept = path.with_name(f"{path.name}.v{version}.bak")
    part = kept.with_name(f"{kept.name}.part")  # one name: what a killed copy leaves goes next time
    with files.mapped():
        part.unlink(missing_ok=True)
        try:
            _copy(path, part)
        except sqlite3.Error as error:
            part.unlink(missing_ok=True)
            raise LedgerFailed(str(error)) from error
        part.chmod(path.stat().st_mode & 0o777)
        files.settle(part, kept)


def _copy(path: Path, part: Path) -> None:
    with (
        contextlib.closing(sqlite3.connect(path)) as here,
        contextlib.closing(sqlite3.connect(part)) as there,
    ):
        there.execute("PRAGMA synchronous=FULL")
        here.backup(there)
        there.execute("PRAGMA journal_mode=DELETE")  # one file, that can be moved as it is
    crashpoint("ledger.copy.unchecked")
    with (
        contextlib.closing(sqlite3.connect(path)) as here,
        contextlib.closing(sqlite3.connect(part)) as there,
    ):
        problem = there.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise LedgerDamaged(str(problem))
        names = "SELECT name, sql FROM sqlite_master ORDER BY name"
        listed = here.execute(names).fetchall()
        if there.execute(names).fetchall() != listed:
            raise LedgerDamaged("a copy with other tables")
        for table in [name for name, _ in listed if name in tables.tables]:
            query = f"SELECT * FROM {table} ORDER BY rowid"  # noqa: S608 - a name of our own
            pairs = itertools.zip_longest(here.execute(query), there.execute(query))
            if any(row != copied for row, copied in pairs):
                raise LedgerDamaged("a copy with other rows")


class SqliteJournal(SqlJournal):
    """Keep the journal in one SQLite file.

    Example:
        >>> import tempfile
        >>> journal = SqliteJournal(Path(tempfile.mkdtemp()) / "ledger.db")
        >>> entry = journal.append("note", {"text": "hi"}, update=None, model="demand", actor="ana")
        >>> entry.seq, journal.verify()
        (1, [])
        >>> journal.close()
    """

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        signing: Checkpoints | None = None,
    ) -> None:
        super().__init__(connect(path), clock, patience_s=BUSY_S, signing=signing)

    def verify(self, marks: Iterable[Mark] = (), *, deep: bool = False) -> list[Problem]:
        """Check every seal, link and checkpoint, and that no index leaves entries out.

        Args:
            marks: What others know of this ledger.
            deep: Hold every index against the table row by row, too, though there are more than
                100,000 entries: then it takes as long again.
        Raises:
            LedgerDamaged: the file is broken; an index that lies would hide entries.
        """
        with self._reading() as connection:
            if deep or _last(connection) <= SMALL:
                _sound(connection, "integrity_check")
        found = super().verify(marks)
        if not found:
            with self._reading() as connection:
                _indexed(connection)
        return found

    def _rows(self, connection: Connection) -> Iterator[Sequence[Any]]:
        """Walk the rows as the driver gives them, in a third of the time.

        Texts are read strictly as far as they are UTF-8, which is faster; from the first page on
        that holds one that is none, as everywhere else.
        """
        driver = connection.connection.driver_connection
        if driver is None:
            raise LedgerFailed("no connection")
        if not connection.in_transaction():
            connection.begin()  # the driver alone would begin none, and see two moments
        last, lenient = 0, driver.text_factory
        # By name: a migration has put the columns that came later behind the others.
        names = ", ".join(f'"{column.name}"' for column in entries.c)
        query = f"SELECT {names} FROM entries WHERE seq > ? ORDER BY seq"  # noqa: S608 - ours
        strict = driver.execute(query, (last,))
        while True:
            driver.text_factory = str
            try:
                page = strict.fetchmany(rows.PAGE)
            except sqlite3.OperationalError:
                break
            finally:
                driver.text_factory = lenient
            if not page:
                return
            yield from page
            last = page[-1][0]
        yield from driver.execute(query, (last,))


def _last(connection: Connection) -> int:
    return connection.exec_driver_sql("SELECT max(seq) FROM entries").scalar_one() or 0


def _indexed(connection: Connection) -> None:
    """See that every index of the entries holds all of them, by the sum of their numbers."""
    names = [row[1] for row in connection.exec_driver_sql("PRAGMA index_list(entries)")]
    last = _last(connection)
    for name in names:
        query = f'SELECT total(seq) FROM entries INDEXED BY "{name}"'  # noqa: S608 - SQLite's name
        if connection.exec_driver_sql(query).scalar_one() != last * (last + 1) // 2:
            raise LedgerDamaged(f"the index {name}, which leaves entries out")
