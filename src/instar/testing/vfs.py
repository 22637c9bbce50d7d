"""SQLite on a disk that loses power or fails, through APSW (a dependency of tests only).

    with vfs.using(vfs.recording(shadow)):
        journal = SqliteJournal(path)     # every write of SQLite is in the shadow's log

The journal does not notice: a thin driver makes APSW look like Python's own `sqlite3`.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import apsw
from sqlalchemy import create_engine

from instar.ledger import sqlite
from instar.testing.disks import ShadowDisk, parent

_JOURNALS = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_WATCHED = _JOURNALS | apsw.SQLITE_OPEN_MAIN_DB
_counter = itertools.count()


def _fresh() -> str:
    return f"instar-{next(_counter)}"


class _RecordingFile(apsw.VFSFile):
    """Tell the shadow what is written. Nothing is forced to the real disk."""

    def __init__(self, shadow: ShadowDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._shadow, self._name = shadow, str(path.relative_to(shadow.root))
        self._number = shadow.made(self._name)
        # SQLite forces the name of a new journal to the disk with its first bytes.
        self._new = bool(flags[0] & _JOURNALS)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._shadow.wrote(self._number, offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._shadow.truncated(self._number, size)

    def xSync(self, flags: int) -> None:
        self._shadow.synced(self._number)
        if self._new:
            self._shadow.names_synced(parent(self._name))
            self._new = False


class _RecordingVfs(apsw.VFS):
    def __init__(self, name: str, shadow: ShadowDisk) -> None:
        self.name, self._shadow = name, shadow
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        if flags[0] & _WATCHED:
            return _RecordingFile(self._shadow, name, flags)
        return apsw.VFSFile("", name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        super().xDelete(name, sync)
        place = str(Path(name).relative_to(self._shadow.root))
        self._shadow.unlinked(place)
        if sync:
            self._shadow.names_synced(parent(place))


class FailingCalls:
    """Fail SQLite's file operation number `at` (from 1; 0: none), once or from there on.

    Args:
        code: What SQLite is told: `apsw.SQLITE_FULL`.
    """

    def __init__(
        self,
        at: int,
        code: int = apsw.SQLITE_IOERR,
        *,
        lasting: bool = False,
    ) -> None:
        self.at, self.code, self.lasting = at, code, lasting
        self.seen: list[str] = []

    def passed(self, call: str) -> None:
        self.seen.append(call)
        count = len(self.seen)
        if self.at and (count == self.at or (self.lasting and count > self.at)):
            raise apsw.exception_for(self.code)


class _FailingFile(apsw.VFSFile):
    def __init__(self, calls: FailingCalls, name: Any, flags: list[int]) -> None:
        self._calls = calls
        calls.passed("xOpen")
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._calls.passed("xWrite")
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        self._calls.passed("xTruncate")
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        self._calls.passed("xSync")


class _FailingVfs(apsw.VFS):
    def __init__(self, name: str, calls: FailingCalls) -> None:
        self.name, self._calls = name, calls
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return _FailingFile(self._calls, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        self._calls.passed("xDelete")
        super().xDelete(name, sync)


class _Cursor:
    """A cursor of Python's driver over one of APSW's."""

    arraysize = 1

    def __init__(self, connection: _Connection) -> None:
        self._inner = connection.inner.cursor()
        self._connection = connection
        self.description: Any = None
        self.rowcount = -1
        # Of a query without rows APSW forgets the columns at once.
        self._inner.exec_trace = self._started

    def _started(self, cursor: Any, _sql: str, _given: object) -> bool:
        columns = cursor.get_description()
        self.description = [(name, *[None] * 6) for name, _ in columns] or None
        return True

    @property
    def lastrowid(self) -> int:
        return int(self._connection.inner.last_insert_rowid())

    def execute(self, sql: str, given: Sequence[Any] = ()) -> _Cursor:
        with _translated():
            self._inner.execute(sql, tuple(given))
        self.rowcount = -1 if self.description else self._connection.inner.changes()
        return self

    def executemany(self, sql: str, many: Sequence[Sequence[Any]]) -> _Cursor:
        with _translated():
            self._inner.executemany(sql, [tuple(given) for given in many])
        return self

    def fetchone(self) -> Any:
        with _translated():
            return self._inner.fetchone()

    def fetchall(self) -> list[Any]:
        with _translated():
            return list(self._inner.fetchall())

    def fetchmany(self, size: int = 1) -> list[Any]:
        with _translated():
            return list(itertools.islice(self._inner, size))

    def close(self) -> None:
        self._inner.close(True)


class _Connection:
    """A connection of Python's driver over one of APSW's."""

    isolation_level = None
    text_factory: Any = str

    def __init__(self, path: str, vfs: str, timeout: float) -> None:
        with _translated():
            self.inner = apsw.Connection(path, vfs=vfs)
        self.inner.set_busy_timeout(int(timeout * 1000))

    def cursor(self) -> _Cursor:
        return _Cursor(self)

    def execute(self, sql: str, given: Sequence[Any] = ()) -> _Cursor:
        return self.cursor().execute(sql, given)

    def commit(self) -> None:
        self._end("COMMIT")

    def rollback(self) -> None:
        self._end("ROLLBACK")

    def _end(self, how: str) -> None:
        if self.inner.in_transaction:
            self.execute(how).close()

    def create_function(self, *_: object, **__: object) -> None:
        """Do without: the journal uses no function of SQLAlchemy's."""

    def close(self) -> None:
        with _translated():
            self.inner.close(True)


class _Driver:
    """What SQLAlchemy asks of the module of a driver; the rest is Python's own."""

    sqlite_version_info = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))

    def __init__(self, vfs: str) -> None:
        self._vfs = vfs

    def connect(self, path: str, *, timeout: float, **_: object) -> _Connection:
        return _Connection(path, self._vfs, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(sqlite3, name)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Raise what Python's driver would."""
    try:
        yield
    except apsw.Error as error:
        code = getattr(error, "extendedresult", 0) or getattr(error, "result", 1)
        kind: type[sqlite3.Error] = sqlite3.OperationalError
        if isinstance(error, apsw.ConstraintError):
            kind = sqlite3.IntegrityError
        elif isinstance(error, apsw.CorruptError | apsw.NotADBError):
            kind = sqlite3.DatabaseError
        told = kind(str(error))
        told.sqlite_errorcode = code
        raise told from error


def recording(shadow: ShadowDisk) -> _RecordingVfs:
    """Lend files whose operations are in a shadow's log."""
    return _RecordingVfs(_fresh(), shadow)


def failing(calls: FailingCalls) -> _FailingVfs:
    """Lend files of which one operation fails."""
    return _FailingVfs(_fresh(), calls)


@contextlib.contextmanager
def using(vfs: _RecordingVfs | _FailingVfs, mode: str) -> Iterator[None]:
    """Open ledgers through APSW for the while.

    Args:
        vfs: What `recording` or `failing` lent.
        mode: The journal's mode: `TRUNCATE` or `WAL`.
    """
    driver = _Driver(vfs.name)

    def create(url: str, **given: Any) -> Any:
        return create_engine(url, module=driver, **given)

    try:
        with (
            mock.patch.object(sqlite, "create_engine", create),
            mock.patch.object(sqlite, "journal_mode", return_value=mode),
        ):
            yield
    finally:
        vfs.unregister()
