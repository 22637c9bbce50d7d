"""The tables of a journal in a database; the same for every database."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_VERSION = 1

tables = MetaData()

meta = Table("meta", tables, Column("schema_version", Integer, nullable=False))

entries = Table(
    "entries",
    tables,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("update_id", String(200)),
    Column("model", String(200), nullable=False),
    Column("kind", String(50), nullable=False),
    Column("key", String(200), unique=True),
    Column("body", Text, nullable=False),  # canonical JSON: the bytes that were sealed
    Column("actor", String(200), nullable=False),
    Column("at", Float, nullable=False),
    Column("epoch", Integer),
    Column("prev", String(71), nullable=False, unique=True),  # unique: a chain never forks
    Column("hash", String(71), nullable=False, unique=True),
    Index("entries_by_update", "update_id", "kind", "seq"),
    Index("entries_by_model", "model", "kind", "seq"),
)

pointers = Table(
    "pointers",
    tables,
    Column("model", String(200), primary_key=True),
    Column("version_seq", Integer, ForeignKey("entries.seq"), nullable=False),
    Column("epoch", Integer),
)

leases = Table(
    "leases",
    tables,
    Column("model", String(200), primary_key=True),
    Column("holder", String(200)),  # null: released
    Column("epoch", Integer, nullable=False),
    Column("expires_at", Float, nullable=False),
)

outbox = Table(
    "outbox",
    tables,
    Column("seq", Integer, ForeignKey("entries.seq"), primary_key=True),
    Column("kind", String(50), nullable=False),
    Column("body", Text, nullable=False),
    Column("delivered", Boolean, nullable=False, default=False),
)
