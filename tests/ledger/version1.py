"""A ledger as version 1 of the tables laid and sealed it, written down here as it was then."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

TABLES = """
CREATE TABLE entries (
    seq INTEGER NOT NULL,
    update_id VARCHAR(200),
    model VARCHAR(200) NOT NULL,
    kind VARCHAR(50) NOT NULL,
    "key" VARCHAR(200),
    body TEXT NOT NULL,
    actor VARCHAR(200) NOT NULL,
    at FLOAT NOT NULL,
    epoch INTEGER,
    prev VARCHAR(71) NOT NULL,
    hash VARCHAR(71) NOT NULL,
    PRIMARY KEY (seq),
    UNIQUE ("key"),
    UNIQUE (prev),
    UNIQUE (hash)
);
CREATE INDEX entries_by_model ON entries (model, kind, seq);
CREATE INDEX entries_by_update ON entries (update_id, kind, seq);
CREATE TABLE leases (
    model VARCHAR(200) NOT NULL,
    holder VARCHAR(200),
    epoch INTEGER NOT NULL,
    expires_at FLOAT NOT NULL,
    PRIMARY KEY (model)
);
CREATE TABLE meta (
    schema_version INTEGER NOT NULL
);
CREATE TABLE outbox (
    seq INTEGER NOT NULL,
    kind VARCHAR(50) NOT NULL,
    body TEXT NOT NULL,
    delivered BOOLEAN NOT NULL,
    PRIMARY KEY (seq),
    FOREIGN KEY(seq) REFERENCES entries (seq)
);
CREATE TABLE pointers (
    model VARCHAR(200) NOT NULL,
    version_seq INTEGER NOT NULL,
    epoch INTEGER,
    PRIMARY KEY (model),
    FOREIGN KEY(version_seq) REFERENCES entries (seq)
);
"""
KINDS = (("adoption", None), ("request", "u0001"), ("note", None))


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def statements() -> Iterator[str]:
    """Say all that makes the ledger: three entries, the first of them the champion's."""
    yield from TABLES.split(";\n")[:-1]
    yield "INSERT INTO meta VALUES (1)"
    prev = "sha256:" + "0" * 64
    for seq, (kind, update) in enumerate(KINDS, 1):
        body = {"name": f"v{seq}", "text": "ä"}
        fields = {
            "seq": seq,
            "update": update,
            "model": "demand",
            "kind": kind,
            "key": update,
            "body": body,
            "actor": "ana",
            "at": 1764000000.5 + seq,
            "epoch": None,
            "prev": prev,
        }
        seal = "sha256:" + hashlib.sha256(_json(fields).encode()).hexdigest()
        given = [_json(body) if name == "body" else value for name, value in fields.items()]
        yield f"INSERT INTO entries VALUES ({', '.join(map(_literal, [*given, seal]))})"
        prev = seal
    yield "INSERT INTO pointers VALUES ('demand', 1, NULL)"
    yield "INSERT INTO outbox VALUES (1, 'adoption', '{}', false)"
    yield "INSERT INTO leases VALUES ('demand', NULL, 7, 0)"


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    return f"'{value}'" if isinstance(value, str) else repr(value)


def lay(run: Callable[[str], object]) -> None:
    """Make the ledger with whatever runs a statement."""
    for statement in statements():
        run(statement)


def lay_file(path: Path) -> None:
    """Make the ledger as an SQLite file."""
    connection = sqlite3.connect(path)
    with connection:
        lay(connection.execute)
    connection.close()
