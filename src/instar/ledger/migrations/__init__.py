"""The way of an older ledger's tables to today's: one step a version, one file a step.

A step says what it changes in Alembic's operations, which know both databases. It never looks
at `tables.py`: what it makes is what that version had, whatever has come since. The version
stands in `meta` alone, where every release so far has looked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection

from instar.core.crash import crashpoint
from instar.ledger.migrations import v2
from instar.ledger.tables import SCHEMA_VERSION, meta

STEPS: Mapping[int, Callable[[Operations], None]] = {2: v2.upgrade}


def migrate(connection: Connection, version: int) -> None:
    """Bring tables of an older version to today's, in the caller's transaction.

    Args:
        connection: One that has begun a transaction and keeps other writers out.
        version: What the tables are now, from 1 up.
    """
    operations = Operations(MigrationContext.configure(connection))
    for step in range(version + 1, SCHEMA_VERSION + 1):
        crashpoint(f"ledger.migrate.{step}")
        STEPS[step](operations)
        connection.execute(meta.update().values(schema_version=step))
