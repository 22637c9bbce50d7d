"""The tables in a database: laid where there are none, brought up to date where they are older."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Engine, inspect, select

from instar.core.crash import crashpoint
from instar.ledger.failures import NewerLedger
from instar.ledger.tables import SCHEMA_VERSION, meta, tables


def found(connection: Connection) -> int | None:
    """Read the version of the tables, None where there are none yet."""
    if not inspect(connection).has_table(meta.name):
        return None
    return connection.execute(select(meta.c.schema_version)).scalar_one_or_none()


def prepare(engine: Engine, keep: Callable[[int], None]) -> None:
    """See that the tables are today's.

    Tables of today are only read. Everything else is one transaction that keeps other writers
    out, so that the tables are what they were, or what they should be, wherever it is killed.

    Args:
        engine: A database whose transactions are serial for writers.
        keep: Called with the version of older tables before they are changed, while nobody
            can write: puts a copy of the database where the owner finds it.
    Raises:
        NewerLedger: the tables are newer than this code; they stay as they are.
    """
    with engine.connect().execution_options(reads=True) as connection:
        version = found(connection)
    if version is None or version < SCHEMA_VERSION:
        version = _change(engine, keep)
    if version > SCHEMA_VERSION:
        raise NewerLedger(version)


def _change(engine: Engine, keep: Callable[[int], None]) -> int:
    """Lay or migrate the tables, unless another process was faster; return their version."""
    crashpoint("ledger.schema")
    with engine.begin() as connection:
        version = found(connection)
        if version is None:
            tables.create_all(connection)
            connection.execute(meta.insert().values(schema_version=SCHEMA_VERSION))
        elif version < SCHEMA_VERSION:
            from instar.ledger.migrations import migrate  # Alembic takes half a second to load

            keep(version)
            migrate(connection, version)
        version = found(connection)
        crashpoint("ledger.schema.uncommitted")
    crashpoint("ledger.schema.committed")
    return version or SCHEMA_VERSION
