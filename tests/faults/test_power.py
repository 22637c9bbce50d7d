"""F16: the power fails at every operation; what was acknowledged is there, and nothing is torn.

One run of a small piece of work on a shadow disk yields every state that a power cut can leave
behind: the cut before each operation, and for each cut several draws of which unsynced names and
bytes came to the disk. Each state is opened as after a restart.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from instar.core.digest import digest_bytes
from instar.core.errors import IntegrityError
from instar.core.tools import Route
from instar.ledger import files
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.files import NEW, Disk
from instar.ledger.journal import Entry, SqliteJournal
from instar.ledger.keys import private_key, public_pem
from instar.ledger.protocol import CROWNING
from instar.ledger.safedir import SafeDir
from instar.serving import routefile
from instar.stages.train import checkpoint
from instar.testing import vfs
from instar.testing.contracts.journal import note
from instar.testing.disks import ShadowDisk

A, B = b"weights" * 10, b"graph" * 300_000  # the second is more than one write
ROUTE = Route("m", 1, {"old": 1.0}, {"old": "sha256:0"}, "old")
SEEDS = range(6)


class Unsynced(Disk):
    """For looking at a state that nobody cuts the power of."""

    def fsync(self, handle: int) -> None:
        pass


MANY = range(6, 16)


@dataclass(frozen=True)
class Piece:
    """Work in a folder, and what must hold of any state that a power cut leaves of it.

    `work` says to the shadow disk what it was told is done; `holds` gets the folder and that.
    """

    work: Callable[[Path, ShadowDisk], None]
    holds: Callable[[Path, Sequence[str]], None]
    before: Callable[[Path], object] = lambda root: None


def whole(root: Path, done: Sequence[str]) -> None:
    """Each artifact is absent, or whole and right; one that was acknowledged is there."""
    artifacts = DirectoryArtifacts(root / "artifacts")
    for data in (A, B):
        digest = digest_bytes(data)
        assert digest in artifacts or digest not in done
        if digest in artifacts:
            assert artifacts.read(digest) == data
    for path in (root / "artifacts").rglob("*"):
        if path.is_file() and not path.name.startswith(NEW):
            assert digest_bytes(path.read_bytes()) == f"sha256:{path.name}"
    assert artifacts.read(artifacts.put(A)) == A


def put(*parts: bytes) -> Callable[[Path, ShadowDisk], None]:
    def work(root: Path, shadow: ShadowDisk) -> None:
        artifacts = DirectoryArtifacts(root / "artifacts")
        for data in parts:
            shadow.done(artifacts.put(data))

    return work


def put_file(root: Path, shadow: ShadowDisk) -> None:
    shadow.done(DirectoryArtifacts(root / "artifacts").put_file(root / "source"))


def damage(root: Path) -> None:
    digest = DirectoryArtifacts(root / "artifacts").put(A)
    path = DirectoryArtifacts(root / "artifacts").path(digest)
    path.chmod(0o644)
    path.write_bytes(b"bad")


def mended(root: Path, done: Sequence[str]) -> None:
    artifacts = DirectoryArtifacts(root / "artifacts")
    try:
        assert artifacts.read(digest_bytes(A)) == A
    except IntegrityError:  # as it was before: damaged, and known to be
        assert not done
    assert artifacts.read(artifacts.put(A)) == A


def moved(root: Path, shadow: ShadowDisk) -> None:
    for generation in (1, 2, 3):
        routefile.write(root, replace(ROUTE, generation=generation, salt="x" * 9 * generation))
        shadow.done(str(generation))


def routed(root: Path, done: Sequence[str]) -> None:
    found = routefile.read(root)
    generation = found.generation if found else 0
    assert generation >= max(map(int, done), default=0)
    if found:
        assert found == replace(ROUTE, generation=generation, salt="x" * 9 * generation)
    routefile.write(root, replace(ROUTE, generation=9))


def keyed(root: Path, shadow: ShadowDisk) -> None:
    for name in ("ledger", "bundle"):
        shadow.done(public_pem(private_key(root, name)).decode())


def keys_hold(root: Path, done: Sequence[str]) -> None:
    made = {}
    for name in ("ledger", "bundle"):
        made[name] = public_pem(private_key(root, name))
        assert (root / "keys" / f"{name}.pub").read_bytes() == made[name]
    assert set(done) <= {pem.decode() for pem in made.values()}


def point(epoch: int) -> checkpoint.Checkpoint:
    return checkpoint.Checkpoint("key", {"net/w": torch.full((9,), float(epoch))}, {"e": epoch})


def checkpointed(root: Path, shadow: ShadowDisk) -> None:
    for epoch in (1, 2, 3):
        checkpoint.save(SafeDir(root / "scratch"), point(epoch))
        shadow.done(str(epoch))


def checkpoint_holds(root: Path, done: Sequence[str]) -> None:
    found, damaged = checkpoint.load(SafeDir(root / "scratch"), "key")
    assert damaged == []
    epoch = found.plain["e"] if found else 0
    assert epoch >= max(map(int, done), default=0)
    if found:
        assert torch.equal(found.tensors["net/w"], point(epoch).tensors["net/w"])
    checkpoint.save(SafeDir(root / "scratch"), point(4))


PIECES = {
    "put": Piece(put(A), whole),
    "put twice": Piece(put(A, B, A), whole),
    "put a file": Piece(put_file, whole, lambda root: (root / "source").write_bytes(A)),
    "mend an artifact": Piece(put(A), mended, damage),
    "replace the route": Piece(moved, routed),
    "make a key": Piece(keyed, keys_hold),
    "save a checkpoint": Piece(checkpointed, checkpoint_holds),
}


def states(
    shadow: ShadowDisk, folder: Path, seeds: Sequence[int]
) -> Iterator[tuple[Path, list[str], str]]:
    """Build each state in turn, and clear it away."""
    with files.using(Unsynced()):
        for cut in shadow.cuts():
            for seed in seeds:
                root = folder / "state"
                done = shadow.crash(cut, seed, into=root)
                yield root, done, f"cut {cut} of {len(shadow.operations)}, seed {seed}"
                shutil.rmtree(root)


def survive(name: str, folder: Path, seeds: Sequence[int]) -> int:
    piece = PIECES[name]
    root = folder / "root"
    root.mkdir()
    piece.before(root)
    shadow = ShadowDisk(root)
    with files.using(shadow):
        piece.work(root, shadow)
    tried = 0
    for state, done, where in states(shadow, folder, seeds):
        try:
            piece.holds(state, done)
        except Exception as error:
            raise AssertionError(f"{name}, {where}: {error!r}") from error
        tried += 1
    assert any(one.kind == "done" for one in shadow.operations)
    return tried


@pytest.mark.parametrize("name", PIECES)
def test_work_survives_a_power_cut_at_every_operation(name: str, memory: Path) -> None:
    assert survive(name, memory, SEEDS) >= 60


@pytest.mark.thorough
@pytest.mark.parametrize("name", PIECES)
def test_work_survives_many_power_cuts_at_every_operation(name: str, memory: Path) -> None:
    print(f"{name}: {survive(name, memory, MANY)} states, 0 violations")


# The journal, with SQLite's own files on the same shadow disk.

KINDS = ("adoption", "note", "promotion")


def crown(journal: SqliteJournal, expect: int | None, digest: str) -> Entry:
    return journal.promote(
        "demand",
        expect=expect,
        body={"digest": digest},
        kind="promotion" if expect else "adoption",
        actor="ana",
        epoch=None,
        key=f"after {expect}",
    )


def begin(root: Path, shadow: ShadowDisk) -> None:
    """Adopt, note, promote: each names an artifact that was put before."""
    artifacts = DirectoryArtifacts(root / "artifacts")
    journal = SqliteJournal(root / "ledger.db")
    shadow.done(f"{crown(journal, None, artifacts.put(A)).seq}")
    body = {"digest": artifacts.put(b"note"), "text": "x" * 5000}
    shadow.done(f"{journal.append('note', body, update='u1', model='m', actor='a').seq}")
    shadow.done(f"{crown(journal, 1, artifacts.put(b'promotion')).seq}")
    journal.close()


def journal_holds(root: Path, done: Sequence[str]) -> None:
    journal = SqliteJournal(root / "ledger.db")
    try:
        assert journal.verify() == []
        found = journal.entries()
        assert [e.seq for e in found] == list(range(1, len(found) + 1))
        assert len(found) >= max(map(int, done), default=0)
        assert tuple(e.kind for e in found) == KINDS[: len(found)]
        crowning = [e for e in found if e.kind in CROWNING]
        champion = journal.champion("demand")
        assert (champion and champion.seq) == (crowning[-1].seq if crowning else None)
        assert [e.seq for e in journal.undelivered()] == [e.seq for e in crowning]
        artifacts = DirectoryArtifacts(root / "artifacts")
        for entry in found:
            assert artifacts.read(entry.body["digest"])
        # Whoever comes back repeats the last step, and it counts once.
        if len(found) >= 2:
            assert crown(journal, 1, artifacts.put(b"promotion")).seq == 3
            assert len(journal.entries()) == 3
        else:
            assert note(journal).seq == len(found) + 1
        assert journal.verify() == []
    finally:
        journal.close()


def journal_survives(mode: str, folder: Path, seeds: Sequence[int], *, laid: bool) -> int:
    root = folder / "root"
    root.mkdir()
    if laid:
        with vfs.using(vfs.failing(vfs.FailingCalls(0)), mode):
            SqliteJournal(root / "ledger.db").close()
    shadow = ShadowDisk(root)
    with files.using(shadow), vfs.using(vfs.recording(shadow), mode):
        begin(root, shadow)
    tried = 0
    unsynced = vfs.failing(vfs.FailingCalls(0))
    with vfs.using(unsynced, mode):
        for state, done, where in states(shadow, folder, seeds):
            try:
                journal_holds(state, done)
            except Exception as error:
                raise AssertionError(f"{mode}, {where}: {error!r}") from error
            tried += 1
    return tried


@pytest.mark.parametrize("mode", ["TRUNCATE", "WAL"])
def test_journal_survives_a_power_cut_at_every_operation(mode: str, memory: Path) -> None:
    assert journal_survives(mode, memory, [4], laid=True) >= 75


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["TRUNCATE", "WAL"])
def test_journal_survives_many_power_cuts_at_every_operation(mode: str, memory: Path) -> None:
    tried = journal_survives(mode, memory, range(4), laid=False)
    print(f"journal {mode}, laid down and used: {tried} states, 0 violations")


def test_shadow_disk_tells_a_missing_fsync(tmp_path: Path) -> None:
    """The harness itself can fail: a file that is renamed before it is synced comes back empty."""
    root = tmp_path / "root"
    root.mkdir()
    shadow = ShadowDisk(root)
    with files.using(shadow):
        new = files.write(root, [json.dumps({"a": 1}).encode()])
        shadow.operations = [one for one in shadow.operations if one.kind != "sync"]
        files.settle(new, root / "file")
        shadow.done("file")
    left = set()
    for seed in SEEDS:
        assert shadow.crash(len(shadow.operations), seed, tmp_path / str(seed)) == ["file"]
        left.add((tmp_path / str(seed) / "file").read_bytes())
    assert {b"", bytes(8), b'{"a": 1}'} <= left
