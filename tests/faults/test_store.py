"""F3, F18 and F46: flipped bits in a store at rest, and a collection that is killed or raced."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.core.digest import digest_bytes
from instar.core.errors import IntegrityError
from instar.core.policy import StoreSettings
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import SqliteJournal
from instar.ledger.patience import Patience
from instar.ledger.s3 import S3Artifacts, locate
from instar.ledger.stores import open_artifacts, open_journal
from instar.ledger.sweep import Scrubbed, Store, collect, mark, scrub
from instar.testing.tools import silent
from tests.servers.s3 import BUCKET, Server, credentials, server
from tests.service import line

DATA = random.Random(0).randbytes(40_000)
DIGEST = digest_bytes(DATA)
FEW = 12  # flips in `make test`; the thousand of F18 are in `make faults`
SCRUBBED = 10
HOURS = 7200.0
BOOT = ("b", 1.0)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[Server]:
    with server() as found:
        yield found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(tmp_path / "ledger.db")
    yield opened
    opened.close()


def swept(journal: SqliteJournal, store: Store) -> Scrubbed:
    return scrub(journal, store, keep=1, boot=BOOT, also=(), now=time.time(), tell=silent)


def flips(count: int) -> Iterator[bytes]:
    """The data with one bit flipped, each time another."""
    lucky = random.Random(1)
    for offset in lucky.sample(range(len(DATA)), count):
        data = bytearray(DATA)
        data[offset] ^= 1 << lucky.randrange(8)
        yield bytes(data)


def overwrite(store: DirectoryArtifacts, data: bytes) -> None:
    place = store._place(DIGEST)
    place.chmod(0o644)
    place.write_bytes(data)


def refused(store: Store) -> bool:
    """Whether every way to load the artifact is refused."""
    for ask in (store.read, store.path):
        with pytest.raises(IntegrityError):
            ask(DIGEST)
    return True


COUNTS = pytest.mark.parametrize(
    "count", [FEW, pytest.param(400, marks=pytest.mark.thorough)], ids=["few", "many"]
)


@COUNTS
def test_flipped_bit_in_a_folder_is_found_and_moved_aside(
    journal: SqliteJournal, tmp_path: Path, count: int
) -> None:
    store = DirectoryArtifacts(tmp_path / "artifacts")
    for found, data in enumerate(flips(count), 1):
        store.put(DATA)
        overwrite(store, data)
        assert refused(store)
        assert swept(journal, store).quarantined == (DIGEST,)
        assert DIGEST not in store
        assert len(list((tmp_path / "artifacts" / "quarantine").iterdir())) == found


@COUNTS
def test_flipped_bit_in_s3_or_its_cache_is_found_and_mended_from_the_other(
    journal: SqliteJournal,
    tmp_path: Path,
    s3_server: Server,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    credentials(monkeypatch)
    place = locate(f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={s3_server.endpoint}")
    cache = DirectoryArtifacts(tmp_path / "cache")
    store = S3Artifacts(place, cache)
    elsewhere = S3Artifacts(
        place, DirectoryArtifacts(tmp_path / "other"), patience=Patience(base_s=0.001)
    )
    store.put(DATA)
    key = f"{place.prefix}sha256/{DIGEST.removeprefix('sha256:')}"
    for number, data in enumerate(flips(count)):
        s3_server.client.put_object(Bucket=BUCKET, Key=key, Body=data)
        overwrite(cache, data)
        with pytest.raises(IntegrityError):
            elsewhere.read(DIGEST)  # where nobody has loaded it yet
        assert not store.whole(DIGEST)
        assert not cache.whole(DIGEST)
        match number % SCRUBBED:  # each scrub is some twenty requests
            case 0:
                overwrite(cache, DATA)
                assert swept(journal, store).repaired == (DIGEST,)
                assert store.whole(DIGEST)
            case 1:
                s3_server.client.put_object(Bucket=BUCKET, Key=key, Body=DATA)
                assert store.read(DIGEST) == DATA  # mended on the way: S3 has it right
                overwrite(cache, data)
                assert swept(journal, store).repaired == (DIGEST,)
                assert cache.whole(DIGEST)
            case 2:
                assert swept(journal, store).quarantined == (DIGEST,)
                assert DIGEST not in store
                store.put(DATA)


def age(store: Any) -> None:
    for digest in store.digests():
        then = time.time() - HOURS
        os.utime(store._place(digest), (then, then))


def test_orphan_of_a_writer_that_died_is_adopted_by_the_next_put_or_collected(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    store = DirectoryArtifacts(tmp_path / "artifacts")
    for data in (b"adopted", b"collected"):
        store.put(data)  # and its writer dies before the entry
    age(store)
    adopted = store.put(b"adopted")
    journal.append("note", {"digest": adopted}, update=None, model="demand", actor="ana")
    done = collect(journal, store, keep=1, boot=BOOT, also=(), now=time.time(), tell=silent)
    assert done.removed == (digest_bytes(b"collected"),)
    assert store.read(adopted) == b"adopted"


COLLECT = """
# warm
import sys, time
from pathlib import Path
from instar.core.policy import StoreSettings
from instar.ledger import sweep
from instar.ledger.stores import open_artifacts, open_journal
from instar.testing.tools import silent

sweep.SMALL = 0
home, store = Path(sys.argv[1]), StoreSettings(keep=2, artifacts=sys.argv[2])
sweep.collect(
    open_journal(home, store), open_artifacts(home, store),
    keep=2, boot=("b", 1.0), also=(), now=time.time() + 2 * 3600, tell=silent,
)
"""


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.thorough)])
def settings(
    request: pytest.FixtureRequest, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> StoreSettings:
    credentials(monkeypatch)
    where = f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={s3_server.endpoint}"
    return StoreSettings(keep=2, artifacts=where if request.param == "s3" else "")


def test_collection_that_is_killed_anywhere_takes_nothing_that_is_needed(
    tmp_path: Path, settings: StoreSettings
) -> None:
    journal = line.lay_out(tmp_path, line.REQUEST, *line.MADE, line.approval())
    for n in range(4):
        line.crown(journal, line.model(f"later{n}", parent=line.OLD))
    home = tmp_path / ".instar"
    store = open_artifacts(home, settings)
    names = ["learn", "test", line.NEW, "later3", "later3w", "later2", "holdout", line.OLD]
    needed = [store.put(name.encode()) for name in names]
    gone = [store.put(name.encode()) for name in (line.ZERO, "later0", "x")]
    marked = mark(journal, store, 2, BOOT)
    assert set(needed) <= marked.needed
    assert not marked.needed.union(marked.kept).intersection(gone)
    killed = 0
    for at in range(1, 100):
        trace = tmp_path / f"trace{at}"
        command = [sys.executable, "-c", COLLECT, str(home), settings.artifacts]
        crash = {"INSTAR_CRASH_TRACE": str(trace), "INSTAR_CRASH_AT": "2"}
        done = subprocess.run(command, env={**os.environ, **crash}, check=False)
        for digest in needed:
            assert digest_bytes(store.read(digest)) == digest
            assert store.whole(digest)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed += 1
    # At the second point each time: one artifact goes in each run, in the store or its copy.
    assert killed >= len(gone)
    assert set(store.digests()) == set(needed)
    assert store.leftovers(before=float("inf")) == 0
    journal.close()


def raced(open_store: Callable[[], Any], journal: SqliteJournal, data: bytes) -> bool:
    """Let one put and record what another collects at that moment; tell whether it is there."""
    writer, collector = open_store(), open_store()
    writer.put(data)
    age(writer)
    ready = threading.Barrier(2)
    found = []

    def write() -> None:
        ready.wait()
        time.sleep(random.random() * 0.004)
        digest = writer.put(data)
        journal.append("note", {"digest": digest}, update=None, model="m", actor="ana")
        found.append(writer.look(digest) is not None and writer.whole(digest))

    thread = threading.Thread(target=write)
    thread.start()
    ready.wait()
    collect(journal, collector, keep=1, boot=BOOT, also=(), now=time.time(), tell=silent)
    thread.join()
    found.append(writer.look(digest_bytes(data)) is not None and writer.read(digest_bytes(data)))
    return all(found)


@pytest.mark.parametrize("rounds", [40, pytest.param(250, marks=pytest.mark.thorough)])
def test_artifact_that_is_put_while_it_is_collected_is_there_when_put_returns(
    tmp_path: Path, rounds: int
) -> None:
    journal = SqliteJournal(tmp_path / "ledger.db")
    for number in range(rounds):
        data = f"orphan {number}".encode()
        assert raced(lambda: DirectoryArtifacts(tmp_path / "artifacts"), journal, data)
    journal.close()


def test_put_between_the_last_look_and_the_removal_waits_and_writes_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, collector = (DirectoryArtifacts(tmp_path / "artifacts") for _ in range(2))
    writer.put(DATA)
    age(writer)
    thread = threading.Thread(target=writer.put, args=(DATA,))

    def late(name: str) -> None:
        if name == "artifacts.remove":
            thread.start()
            thread.join(0.5)  # time enough to put, for one who does not wait

    monkeypatch.setattr("instar.ledger.artifacts.crashpoint", late)
    assert collector.remove(DIGEST, before=time.time() - 3600)
    thread.join()
    assert writer.read(DIGEST) == DATA


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.thorough)])
def test_promotion_beside_a_collection_keeps_all_that_it_names(
    tmp_path: Path, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instar.ledger.sweep.SMALL", 0)
    settings = StoreSettings()
    line.lay_out(tmp_path).close()
    home = tmp_path / ".instar"
    ended = threading.Event()
    removed: list[str] = []

    def sweeping() -> None:
        journal, store = open_journal(home, settings), open_artifacts(home, settings)
        while not ended.is_set():
            done = collect(journal, store, keep=1, boot=BOOT, also=(), now=time.time(), tell=silent)
            removed.extend(done.removed)
        journal.close()

    thread = threading.Thread(target=sweeping)
    thread.start()
    try:
        journal, store = open_journal(home, settings), open_artifacts(home, settings)
        for number in range(rounds):
            update, name = f"u{number:04}", f"v{number}"
            # Versions take turns, so that each puts again what the collection takes away.
            version = replace(line.model(f"turn{number % 3}"), name=name, update=update)
            for text in (f"turn{number % 3}", f"turn{number % 3}w", "train", "holdout"):
                store.put(text.encode())
            body = line.encode(replace(line.REQUEST, update=update))
            journal.append("request", body, update=update, model="demand", actor="ana")
            age(store)
            body = line.encode(line.TRAINING)
            journal.append("training", body, update=update, model="demand", actor="ana")
            for text in (f"turn{number % 3}", f"turn{number % 3}w", "train", "holdout"):
                store.put(text.encode())
            line.crown(journal, version)
            for digest in (version.weights, version.bundle.manifest, version.train[0].digest):
                assert digest_bytes(store.read(digest)) == digest
        time.sleep(0.05)
        found = journal.champion("demand")
        assert found
        for digest in (found.body["weights"], found.body["bundle"]["manifest"]):
            assert digest_bytes(store.read(digest)) == digest
        journal.close()
    finally:
        ended.set()
        thread.join()
