from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from instar.core.errors import BackendError, InstarError
from instar.core.tools import Route
from instar.ledger import ready
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.files import DiskFull
from instar.ledger.journal import LedgerFailed, SqliteJournal
from instar.ledger.ready import NoRoom, NotOurs
from instar.serving import routefile
from instar.testing.contracts.journal import crown, note

NOBODY = 65534


@pytest.fixture
def home() -> Iterator[Path]:
    """A workspace that everybody can reach and its owner alone can write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    home = folder / ".instar"
    DirectoryArtifacts(home / "artifacts").put(b"weights")
    routefile.write(home, Route("m", 1, {"old": 1.0}, {"old": "sha256:0"}, "old"))
    journal = SqliteJournal(home / "ledger.db")
    crown(journal, None)
    journal.close()
    yield folder / ".instar"
    shutil.rmtree(folder)


def as_nobody(ask: Callable[[], object]) -> str:
    """Ask in a process of another user; return what it raised, or an empty text."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        told = "died"
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            ask()
            told = ""
        except InstarError as error:
            told = f"{error.code}: {error}"
        finally:
            os.write(into, told.encode())
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_own_folder_is_ready(home: Path) -> None:
    ready.writable(home)
    ready.writable(home.parent / "not yet")


@root_only
def test_folder_of_somebody_else_is_told_with_the_way_out(home: Path) -> None:
    said = as_nobody(lambda: ready.writable(home))
    assert said.startswith("backend.not_writable: wanted .instar that nobody can write; ")
    assert "root owns" in said
    assert "chown -R nobody .instar" in said
    assert str(home.parent) not in said


@root_only
@pytest.mark.parametrize("name", ["artifacts", "serve", "ledger.db"])
def test_one_part_of_somebody_else_is_told(home: Path, name: str) -> None:
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    assert as_nobody(lambda: ready.writable(home)) == ""
    os.chown(home / name, 0, 0)
    (home / name).chmod(0o755)
    assert f"wanted {name} that nobody can write" in as_nobody(lambda: ready.writable(home))


@root_only
def test_serving_goes_on_where_nothing_can_be_written(home: Path) -> None:
    def serve() -> None:
        artifacts = DirectoryArtifacts(home / "artifacts")
        digest = f"sha256:{next((home / 'artifacts').rglob('*/*/*')).name}"
        if artifacts.read(digest) != b"weights" or routefile.read(home) is None:
            raise BackendError("the champion", "nothing", "")

    assert as_nobody(serve) == ""
    assert as_nobody(lambda: DirectoryArtifacts(home / "artifacts").put(b"x")).startswith(
        "backend.store: "
    )


@root_only
def test_ledger_of_somebody_else_is_read_and_not_written(home: Path) -> None:
    def write() -> None:
        note(SqliteJournal(home / "ledger.db"))

    said = as_nobody(write)
    assert said.startswith(f"{LedgerFailed.code}: ")
    assert str(home) not in said


def test_rights_of_ones_own_are_told(home: Path) -> None:
    reason = ready._reason(home, ".instar")
    assert isinstance(reason, NotOurs)
    assert "chmod -R u+rwX .instar" in str(reason)


def test_room_is_refused_before_the_work(home: Path) -> None:
    ready.room(home, 1)
    with pytest.raises(NoRoom, match="make room") as caught:
        ready.room(home, 1 << 60)
    assert isinstance(caught.value, DiskFull)


def test_estimate_grows_with_what_is_kept() -> None:
    assert ready.estimate(10, 0) < ready.estimate(1000, 0) < ready.estimate(1000, 1000)
