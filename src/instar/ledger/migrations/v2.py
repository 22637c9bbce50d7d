"""Version 2: what made an entry; checkpoints, people, holds and attempts."""

from __future__ import annotations

from alembic.operations import Operations
from sqlalchemy import Column, Float, ForeignKey, Integer, String, Text


def upgrade(op: Operations) -> None:
    op.add_column("entries", Column("work", Text))
    op.create_table(
        "checkpoints",
        Column("size", Integer, primary_key=True, autoincrement=False),
        Column("root", String(71), nullable=False),
        Column("frontier", Text, nullable=False),
        Column("note", Text, nullable=False),
        Column("at", Float, nullable=False),
    )
    op.create_table(
        "people",
        Column("id", String(40), primary_key=True),
        Column("name", String(200), nullable=False, unique=True),
        Column("said", String(200), nullable=False),
        Column("salt", String(64), nullable=False),
    )
    op.create_table(
        "holds",
        Column("model", String(200), primary_key=True),
        Column("version_seq", Integer, ForeignKey("entries.seq"), primary_key=True),
        Column("seconds", Float, nullable=False),
        Column("boot", String(64), nullable=False),
        Column("since", Float, nullable=False),
        Column("at", Float, nullable=False),
    )
    op.create_table(
        "attempts",
        Column("key", String(200), primary_key=True),
        Column("count", Integer, nullable=False),
        Column("reason", Text, nullable=False),
    )
