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

SCHEMA_VERSION = 2

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
    Column("work", Text),  # canonical JSON; null where a person acted, and before schema 2
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

# A signed statement of how long the ledger was: `note` as it was signed, `frontier` the Merkle
# hashes from which the next one goes on.
checkpoints = Table(
    "checkpoints",
    tables,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("root", String(71), nullable=False),
    Column("frontier", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# Who is meant by an actor. The only place where a name stands: entries hold `id`, a salted hash,
# so that deleting a row here forgets a person and breaks no chain.
people = Table(
    "people",
    tables,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("said", String(200), nullable=False),
    Column("salt", String(64), nullable=False),
)

# Versions that are kept for the way back. `boot` and `since` are of the monotonic clock, which
# counts from the start of the machine; `at` is a date, for people.
holds = Table(
    "holds",
    tables,
    Column("model", String(200), primary_key=True),
    Column("version_seq", Integer, ForeignKey("entries.seq"), primary_key=True),
    Column("seconds", Float, nullable=False),
    Column("boot", String(64), nullable=False),
    Column("since", Float, nullable=False),
    Column("at", Float, nullable=False),
)

# How often a piece of work was begun, by its stage key: one that kills its process again and
# again is given up.
attempts = Table(
    "attempts",
    tables,
    Column("key", String(200), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("reason", Text, nullable=False, default=""),
)
