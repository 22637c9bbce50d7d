"""PostgreSQL as the ledger's database: how it is reached, and what its errors mean.

Writers take one advisory lock at the beginning of each transaction, and read committed data
under it. The alternative, SERIALIZABLE, would let writers run side by side only to throw all but
one away, since each of them appends behind the same last entry; and its snapshot is taken
before the wait, so that a commit whose answer was lost could not be looked up under the lock.
Readers take no lock: each sees one snapshot.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError

from instar.core.errors import BackendError, InstarError, PolicyError
from instar.core.secret import veiled
from instar.ledger import retry, schema
from instar.ledger.checkpoints import Checkpoints
from instar.ledger.failures import (
    LedgerBusy,
    LedgerContended,
    LedgerDamaged,
    LedgerFailed,
    LedgerUnreachable,
)
from instar.ledger.sql import SqlJournal

T = TypeVar("T")

PATIENCE_S = 30.0  # tries are begun for so long; opening has to do with less
OPENING_S = 10.0
CONNECT_S = 5.0
ANSWER_S = 20.0  # of one statement, over the network
GRACE_S = 1.0  # beyond the patience: the server's own limits say more than our hanging up
STATEMENT_S = 15.0  # of one statement, in the server
LOCK_S = 10.0  # behind other writers
IDLE_S = 60.0  # between two statements of a transaction
POOL_S = 10.0
CONNECTIONS = 4  # a worker needs two: its own, and the one that renews its lease

_LOCK = 0x696E7374  # "inst": among the advisory locks of a database, those of a ledger


class BadAddress(PolicyError):
    """Refuse an address that names no PostgreSQL database."""

    code = "policy.bad_address"

    def __init__(self, address: str) -> None:
        super().__init__(
            "store.journal like postgresql://user@host:5432/database",
            repr(veiled(address)),
            "keep the password in PGPASSWORD or a service file",
        )


class UnfitServer(BackendError):
    """Refuse a server that would confirm what it can lose, or cannot hold every text."""

    code = "backend.unfit_server"

    def __init__(self, setting: str, wanted: str, got: str) -> None:
        super().__init__(
            f"a PostgreSQL server with {setting} {wanted}", got, "change the server's settings"
        )


class NoAnswer(psycopg.OperationalError):
    """End the wait for a server that may have gone without a word."""


class Timed(psycopg.Connection[Any]):
    """A connection on which no wait is endless; one that got no answer is closed."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **given: Any) -> T:
        within_s = min(ANSWER_S, retry.left_s() + GRACE_S)
        try:
            return super().wait(_ending(gen, time.monotonic() + within_s), *args, **given)
        except NoAnswer:
            self.pgconn.finish()
            raise


def _ending(gen: Generator[Any, Any, T], until: float) -> Generator[Any, Any, T]:
    """Pass on what a connection waits for; the driver looks in ten times a second."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= until:
                raise NoAnswer("no answer in time")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return] # what the driver's own generator returns


def _connect(_dialect: object, _record: object, args: Any, given: Any) -> Timed:
    return Timed.connect(*args, **given)


def _prepare(connection: psycopg.Connection[Any], _record: object) -> None:
    """Set a new connection up: what it may wait for, and that a commit is on the disk."""
    limits = {
        "statement_timeout": STATEMENT_S,
        "lock_timeout": LOCK_S,
        "idle_in_transaction_session_timeout": IDLE_S,
    }
    waits = ", ".join(f"set_config('{name}', '{s * 1e3:.0f}', false)" for name, s in limits.items())
    # Stricter than `on` stays: it waits for the standbys, too.
    durable = (
        "set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
        " WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)"
    )
    connection.execute(f"SELECT {waits}, {durable}")
    connection.commit()


def _begin(connection: Connection) -> None:
    # Taken before anything is read: under READ COMMITTED each statement sees what was committed
    # up to then, so whoever holds the lock sees everything. A transaction whose connection was
    # lost while it committed holds it until it is done.
    if not connection.get_execution_options().get("reads", False):
        connection.exec_driver_sql(
            f"SELECT pg_advisory_xact_lock({_LOCK}, hashtext(current_schema()))"
        )


_MEANINGS: dict[str, Callable[[], InstarError]] = {
    "40001": LedgerContended,  # serialisation failure
    "40P01": LedgerContended,  # deadlock
    "55P03": lambda: LedgerBusy(LOCK_S),
    "57014": lambda: LedgerBusy(STATEMENT_S, "a statement that took longer"),
    "25P03": lambda: LedgerUnreachable("a transaction that was left idle for too long"),
    "25P04": lambda: LedgerUnreachable("a transaction that took too long"),
    "25006": lambda: LedgerFailed("a server that is read only", "name the primary"),
    "57P01": lambda: LedgerUnreachable("a server that is stopping"),
    "57P02": lambda: LedgerUnreachable("a server that crashed"),
    "57P03": lambda: LedgerUnreachable("a server that is starting or stopping"),
    "53300": lambda: LedgerUnreachable("a server without a free connection"),
    "53100": lambda: LedgerFailed("a full disk", "make room on the server"),
    "42501": lambda: LedgerFailed("no right to it", "grant the user its schema and tables"),
    "XX001": lambda: LedgerDamaged("corrupted data"),
    "XX002": lambda: LedgerDamaged("a corrupted index"),
}
# What libpq says while it connects has no code, and names hosts and users: told in our words.
_SAID: tuple[tuple[str, Callable[[], InstarError]], ...] = (
    ("password", lambda: LedgerFailed("a server that refuses the login", "see PGPASSWORD")),
    ("authentication", lambda: LedgerFailed("a server that refuses the login", "see pg_hba.conf")),
    ("role ", lambda: LedgerFailed("a server that does not know the user", "create the role")),
    ("does not exist", lambda: LedgerFailed("no such database", "create it: createdb")),
    ("definition of service", lambda: LedgerFailed("no such service", "see pg_service.conf")),
    ("starting up", _MEANINGS["57P03"]),
    ("shutting down", _MEANINGS["57P03"]),
    ("too many clients", _MEANINGS["53300"]),
    ("name resolution", lambda: LedgerUnreachable("a host that no name server knows")),
    ("translate host", lambda: LedgerUnreachable("a host that no name server knows")),
    ("timeout expired", lambda: LedgerUnreachable("no answer in time")),
    ("refused", lambda: LedgerUnreachable("nobody at its address")),
)


def meaning(error: BaseException) -> InstarError | None:
    """Say in our words what the driver reports; what breaks a rule of ours stays as it is."""
    state = getattr(error, "sqlstate", None)
    if state in _MEANINGS:
        return _MEANINGS[state]()
    if state is None:
        return _unsaid(error)
    name = f"{type(error).__name__} ({state})"
    if state.startswith("08"):
        return LedgerUnreachable("a broken connection")
    if state.startswith(("53", "58", "XX", "28", "3D")):
        return LedgerFailed(name, "see the server's log")
    if state.startswith("3F"):
        return LedgerFailed("no schema that it may use", "create one, and grant it to the user")
    if state.startswith("42"):  # our statements are right, so the schema is not
        return LedgerDamaged(name)
    return None


def _unsaid(error: BaseException) -> InstarError | None:
    if isinstance(error, NoAnswer):
        return LedgerUnreachable("no answer in time")
    if isinstance(error, psycopg.ProgrammingError):
        return LedgerFailed("an address with an option that it does not know", "mend store.journal")
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return None
    said = str(error)
    told = next((made for words, made in _SAID if words in said), None)
    return told() if told else LedgerUnreachable("a broken connection")


def _translate(context: ExceptionContext) -> InstarError | None:
    return meaning(context.original_exception)


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise BadAddress(address) from error
    if url.drivername not in ("postgres", "postgresql"):
        raise BadAddress(address)
    return url.set(drivername="postgresql+psycopg")


def connect(address: str) -> Engine:
    """Reach the ledger's database, and lay its tables where there are none.

    Raises:
        BadAddress: the address names no PostgreSQL database.
        LedgerUnreachable: nobody answers there within 10 seconds.
        LedgerFailed: the server does not let us in.
        UnfitServer: it would lose what it confirmed, or does not store UTF-8.
        NewerLedger: the schema is newer than this code.
    """
    engine = create_engine(
        _url(address),
        connect_args={"connect_timeout": int(CONNECT_S), "application_name": "instar"},
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_S,
        hide_parameters=True,
        use_native_hstore=False,
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _translate, retval=True)

    def opened() -> None:
        with engine.connect().execution_options(reads=True) as connection:
            _fit(connection)
        # A migration is one transaction here, tables and all: nothing to keep for the way back.
        schema.prepare(engine, lambda version: None)

    try:
        retry.patiently(opened, OPENING_S)
    except BaseException:
        engine.dispose()
        raise
    return engine


_DURABLE = (
    ("fsync", ("on",)),
    ("full_page_writes", ("on",)),
    ("synchronous_commit", ("on", "remote_apply")),
    ("server_encoding", ("UTF8",)),
)


def _fit(connection: Connection) -> None:
    for setting, wanted in _DURABLE:
        got = str(connection.exec_driver_sql(f"SHOW {setting}").scalar_one())
        if got not in wanted:
            raise UnfitServer(setting, wanted[0], got)


class PostgresJournal(SqlJournal):
    """Keep the journal in a PostgreSQL database; several machines may share it.

    No call waits without an end: tries are begun for 30 seconds, and the last one may take as
    long as it takes to connect, or to get one of the four connections.
    """

    def __init__(
        self,
        address: str,
        clock: Callable[[], float] = time.time,
        signing: Checkpoints | None = None,
    ) -> None:
        super().__init__(connect(address), clock, patience_s=PATIENCE_S, signing=signing)
        # Doors do not close their journal; a server counts the connections that are left to it.
        weakref.finalize(self, self._engine.dispose)

    def _reading(self) -> Connection:
        return (
            super()
            ._reading()
            .execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        )
