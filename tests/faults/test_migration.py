"""F44: a migration that is killed at each statement leaves the old ledger, or the new one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers.postgres import PostgresServer

# One interpreter forks a child for each place to die in, which is quick.
KILLER = """
import itertools, os, signal, sqlite3, sys
from pathlib import Path
import psycopg
from sqlalchemy import Engine, event
from instar.core import crash
from instar.ledger import migrations
from instar.ledger.journal import SqliteJournal
from instar.ledger.postgres import PostgresJournal
from tests.ledger import version1

LIST = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgres": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}
OLD = {"entries", "leases", "meta", "outbox", "pointers"}
kind, place = sys.argv[1:]

def killed(at, open_):
    pid = os.fork()
    if pid:
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    passed = itertools.count(1)
    def point(*_):
        if next(passed) == at:
            os.kill(os.getpid(), signal.SIGKILL)
    os.environ["INSTAR_CRASH_TRACE"] = "here"
    crash._pass = point
    event.listen(Engine, "before_cursor_execute", point)
    open_()
    os._exit(0)

seen, points = set(), 0
for at in itertools.count(1):
    if kind == "sqlite":
        path = Path(place) / f"{at}.db"
        version1.lay_file(path)
        make = lambda: SqliteJournal(path)
        reach = lambda: sqlite3.connect(path)
    else:
        schema = f"f44_{at}"
        with psycopg.connect(place, autocommit=True) as link:
            link.execute(f"CREATE SCHEMA {schema}")
            link.execute(f"SET search_path = {schema}")
            version1.lay(link.execute)
        address = f"{place}&options=-csearch_path%3D{schema}"
        make = lambda: PostgresJournal(address)
        reach = lambda: psycopg.connect(address)
    died = killed(at, make)
    link = reach()
    version = link.execute("SELECT schema_version FROM meta").fetchone()[0]
    tables = {name for (name,) in link.execute(LIST[kind])}
    try:
        link.execute("SELECT work FROM entries")
        columns = 2
    except (sqlite3.Error, psycopg.Error):
        columns = 1
    link.close()
    assert columns == version == (1 if tables == OLD else 2), (at, version, tables)
    seen.add(version)
    journal = make()
    assert journal.verify() == [] and len(journal.entries()) == 3, at
    assert journal.append("note", {}, update=None, model="demand", actor="ana").seq == 4
    journal.close()
    if not died:
        break
    points += 1
assert seen == {1, 2}
print(points)
"""


def kill_everywhere(kind: str, place: str) -> int:
    """Migrate once for each place to die in; return how many there were."""
    done = subprocess.run(
        [sys.executable, "-c", KILLER, kind, place], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_migration_of_a_file_is_whole_or_not_begun_wherever_it_is_killed(tmp_path: Path) -> None:
    assert kill_everywhere("sqlite", str(tmp_path)) > 20


def test_migration_of_a_server_is_whole_or_not_begun_wherever_it_is_killed(
    postgres: PostgresServer,
) -> None:
    place = f"postgresql://postgres@/postgres?host={postgres.folder}"
    assert kill_everywhere("postgres", place) > 20
