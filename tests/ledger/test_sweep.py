from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from instar.core.codec import encode
from instar.core.digest import canonical, digest_bytes
from instar.core.errors import IntegrityError
from instar.core.records import Phase
from instar.ledger import queue, sweep
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import SqliteJournal
from instar.ledger.tables import holds
from instar.testing.tools import silent
from tests.service import line

NOW = 1_800_000_000.0
OLD = NOW - 7 * 86400  # when everything was put, unless a test says otherwise


class Mirrored(DirectoryArtifacts):
    """A store with one copy elsewhere."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "first")
        self.copy = DirectoryArtifacts(root / "copy")

    @property
    def copies(self) -> tuple[DirectoryArtifacts, ...]:
        return (self.copy,)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path / "artifacts")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal(tmp_path / "ledger.db", clock=lambda: OLD)
    yield opened
    opened.close()


@pytest.fixture
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SMALL", 0)


def put(store: DirectoryArtifacts, *texts: str, at: float = OLD) -> list[str]:
    """Put artifacts that are their own names, as the made-up records of `line` name them."""
    found = [store.put(text.encode()) for text in texts]
    for digest in found:
        os.utime(store._place(digest), (at, at))
    return found


def there(store: DirectoryArtifacts) -> set[str]:
    return {store.read(digest).decode() for digest in store.digests()}


def collect(journal: SqliteJournal, store: Any, **more: Any) -> sweep.Collected:
    settings = {"keep": 1, "boot": ("b", 30.0), "also": (), "now": NOW, "tell": silent, **more}
    return sweep.collect(journal, store, **settings)


def scrub(journal: SqliteJournal, store: Any, **more: Any) -> sweep.Scrubbed:
    settings = {"keep": 1, "boot": ("b", 30.0), "also": (), "now": NOW, "tell": silent, **more}
    return sweep.scrub(journal, store, **settings)


def damage(store: DirectoryArtifacts, digest: str) -> None:
    place = store._place(digest)
    place.chmod(0o644)
    place.write_bytes(place.read_bytes()[:-1] + b"\x00")


def champions(journal: SqliteJournal, count: int) -> None:
    """Adopt v1 and promote v2, v3, ..., each the parent of the next."""
    line.crown(journal, line.model("v1"), "adoption")
    for n in range(2, count + 1):
        line.crown(journal, line.model(f"v{n}", parent=f"v{n - 1}"))


def all_of(*versions: str) -> set[str]:
    return {*versions, *(name + "w" for name in versions)}


@pytest.mark.usefixtures("nothing_is_small")
@pytest.mark.parametrize("keep", [1, 2, 3, 6, 99])
def test_last_versions_and_the_champions_predecessor_stay(
    journal: SqliteJournal, store: DirectoryArtifacts, keep: int
) -> None:
    champions(journal, 6)
    put(store, *all_of(*(f"v{n}" for n in range(1, 7))), "train", "holdout")
    collect(journal, store, keep=keep)
    stay = {f"v{n}" for n in range(7 - max(keep, 2), 7) if n > 0}
    assert there(store) == all_of(*stay) | {"train", "holdout"}


@pytest.mark.usefixtures("nothing_is_small")
def test_champion_that_was_put_back_stays_with_its_predecessor(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    champions(journal, 6)
    line.crown(journal, line.model("v3", parent="v2"), "rollback")
    put(store, *all_of(*(f"v{n}" for n in range(1, 7))))
    collect(journal, store)
    assert there(store) == all_of("v2", "v3", "v6")


@pytest.mark.usefixtures("nothing_is_small")
def test_held_version_stays(journal: SqliteJournal, store: DirectoryArtifacts) -> None:
    champions(journal, 6)
    held = journal.entries(kind="promotion")[0]
    with journal._writing() as connection:
        connection.execute(
            insert(holds).values(
                model="demand", version_seq=held.seq, seconds=60.0, boot="b", since=0.0, at=0.0
            )
        )
    assert journal.held(("b", 30.0)) == [held]
    put(store, *all_of(*(f"v{n}" for n in range(1, 7))))
    collect(journal, store)
    assert there(store) == all_of("v2", "v5", "v6")


@pytest.mark.usefixtures("nothing_is_small")
def test_every_model_line_keeps_its_own(journal: SqliteJournal, store: DirectoryArtifacts) -> None:
    champions(journal, 3)
    other = encode(line.model("w1"))
    journal.promote("other", expect=None, body=other, actor="a", epoch=None, kind="adoption")
    put(store, *all_of("v1", "v3", "w1"))
    collect(journal, store)
    assert there(store) == all_of("v3", "w1")


UPDATE = {"fresh", "learn", "valid", "test", "weights", line.NEW, "policy"}


@pytest.mark.usefixtures("nothing_is_small")
@pytest.mark.parametrize(
    "records",
    [
        (line.REQUEST,),
        (line.REQUEST, line.ADMISSION, line.PLAN, line.TRAINING),
        (line.REQUEST, *line.MADE, line.approval()),
        (line.REQUEST, *line.MADE, line.approval(), line.moving(Phase.STEP, 0.1)),
        (line.REQUEST, *line.MADE, line.approval(), line.moving(Phase.PROMOTED, 1.0)),
    ],
    ids=["asked", "trained", "waiting", "releasing", "promoting"],
)
def test_open_update_keeps_all_that_it_named(
    journal: SqliteJournal, store: DirectoryArtifacts, records: tuple[Any, ...]
) -> None:
    champions(journal, 2)
    line.file(journal, *records)
    put(store, *UPDATE, at=OLD - 60)
    named = {d for e in journal.entries(update="u0001") for d in sweep._digests(e.body)}
    collect(journal, store)
    assert there(store) == {name for name in UPDATE if digest_bytes(name.encode()) in named}


@pytest.mark.usefixtures("nothing_is_small")
def test_update_in_the_queue_keeps_its_data_until_it_is_taken(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    put(store, "waiting", "its policy")
    body = {"fresh": encode(line.snapshot("waiting")), "policy": line.digest("its policy")}
    queued = journal.append(queue.KIND, body, update=None, model="demand", actor="a")
    collect(journal, store)
    assert there(store) == {"waiting", "its policy"}
    key = queue.key(queued)
    journal.append("note", {}, update=None, model="demand", actor="a", key=key)
    collect(journal, store)
    assert there(store) == set()


@pytest.mark.usefixtures("nothing_is_small")
def test_ended_update_keeps_nothing(journal: SqliteJournal, store: DirectoryArtifacts) -> None:
    champions(journal, 2)
    line.file(journal, line.REQUEST, *line.MADE, line.approval())
    journal.append("withdrawn", {"reason": "no"}, update="u0001", model="demand", actor="ana")
    put(store, *UPDATE, *all_of("v2"))
    done = collect(journal, store)
    assert there(store) == all_of("v2")
    assert len(done.removed) == len(UPDATE)
    assert done.freed == sum(len(name) for name in UPDATE)


@pytest.mark.usefixtures("nothing_is_small")
def test_promoted_update_keeps_what_it_takes_to_make_it_again(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    champions(journal, 2)
    line.file(journal, line.REQUEST, *line.MADE, line.approval())
    line.crown(journal, replace(line.model(line.NEW, parent="v2"), update="u0001"))
    line.file(journal, line.moving(Phase.PROMOTED, 1.0))
    put(store, *UPDATE)
    collect(journal, store)
    assert there(store) == UPDATE


@pytest.mark.usefixtures("nothing_is_small")
def test_update_that_cannot_be_read_counts_as_open(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    body = {**encode(line.REQUEST), "of_a_later_version": {"deep": [digest_bytes(b"x")]}}
    journal.append("request", body, update="u0001", model="demand", actor="ana")
    put(store, "x", "y", at=OLD - 60)
    collect(journal, store)
    assert there(store) == {"x"}


@pytest.mark.usefixtures("nothing_is_small")
def test_running_update_keeps_what_was_put_since_its_last_record(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    line.file(journal, line.REQUEST, line.ADMISSION)
    put(store, "of the next record", at=OLD + 1)
    put(store, "from before", at=OLD - 1)
    collect(journal, store)
    assert there(store) == {"of the next record"}


def test_small_evidence_stays_and_large_goes(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    small, large = "s" * 1000, "l" * (sweep.SMALL + 1)
    names = {name: digest_bytes(name.encode()) for name in (small, large)}
    body = {"reason": "no", "small": names[small], "deep": [{"large": names[large]}]}
    journal.append("note", body, update=None, model="demand", actor="ana")
    put(store, small, large, "named by nothing")
    collect(journal, store)
    assert there(store) == {small}


def test_files_of_a_manifest_stay(journal: SqliteJournal, store: DirectoryArtifacts) -> None:
    deep, large = "d" * (sweep.SMALL + 1), "l" * (sweep.SMALL + 1)
    inner = canonical({"files": [digest_bytes(deep.encode())]}).decode()
    outer = canonical({"files": [{"digest": digest_bytes(inner.encode())}]}).decode()
    version = line.model("v1")
    made = replace(version, bundle=replace(version.bundle, manifest=digest_bytes(outer.encode())))
    line.crown(journal, made, "adoption")
    put(store, deep, inner, outer, large)
    collect(journal, store)
    assert there(store) == {deep, inner, outer}


def test_what_is_asked_for_besides_stays(journal: SqliteJournal, store: DirectoryArtifacts) -> None:
    route, other = put(store, "route", "other")
    done = collect(journal, store, also=[route])
    assert done.removed == (other,)


@pytest.mark.parametrize(("age_s", "stays"), [(3599, {"x"}), (3601, set())])
def test_young_artifact_stays(
    journal: SqliteJournal, store: DirectoryArtifacts, age_s: float, stays: set[str]
) -> None:
    put(store, "x", at=NOW - age_s)
    collect(journal, store)
    assert there(store) == stays


@pytest.mark.parametrize("how", ["put", "put_file"])
def test_artifact_that_is_put_again_is_young_again(
    journal: SqliteJournal, store: DirectoryArtifacts, tmp_path: Path, how: str
) -> None:
    put(store, "x", at=1.0)
    (tmp_path / "x").write_bytes(b"x")
    store.put(b"x") if how == "put" else store.put_file(tmp_path / "x")
    assert collect(journal, store, now=time.time()).removed == ()


def test_dry_run_tells_the_same_and_removes_nothing(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    put(store, "x", "y")
    begun = store._place(digest_bytes(b"x")).parent / ".new-0"
    begun.write_bytes(b"half")
    os.utime(begun, (OLD, OLD))
    dry = collect(journal, store, dry=True)
    assert there(store) == {"x", "y"}
    assert begun.exists()
    done = collect(journal, store)
    assert there(store) == set()
    assert not begun.exists()
    assert dry == replace(done, dry=True)
    assert (len(done.removed), done.leftovers) == (2, 1)


def test_leftover_of_a_writer_at_work_stays(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    put(store, "x", at=NOW)
    begun = store._place(digest_bytes(b"x")).parent / ".new-0"
    begun.write_bytes(b"half")
    os.utime(begun, (NOW - 60, NOW - 60))
    assert collect(journal, store).leftovers == 0
    assert begun.exists()


def test_damaged_manifest_stops_the_collection(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    champions(journal, 1)
    put(store, "v1", "orphan")
    damage(store, digest_bytes(b"v1"))
    with pytest.raises(IntegrityError):
        collect(journal, store)
    assert digest_bytes(b"orphan") in set(store.digests())


@pytest.mark.usefixtures("nothing_is_small")
def test_update_that_is_promoted_while_the_ledger_is_read_keeps_all(
    journal: SqliteJournal, store: DirectoryArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions(journal, 2)
    line.file(journal, line.REQUEST, *line.MADE, line.approval())
    put(store, *UPDATE, *all_of("v2"))
    read: Callable[..., Any] = SqliteJournal.entries

    def entries(self: SqliteJournal, **asked: Any) -> Any:
        found = read(self, **asked)
        if asked == {"kind": "request"}:  # promoted between this answer and the next question
            made = replace(line.model(line.NEW, parent="v2"), weights=line.digest("weights"))
            line.crown(journal, replace(made, update="u0001"))
            line.file(journal, line.moving(Phase.PROMOTED, 1.0))
        return found

    monkeypatch.setattr(SqliteJournal, "entries", entries)
    collect(journal, store)
    assert there(store) == UPDATE | all_of("v2")


def test_scrub_of_a_sound_store_finds_nothing(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    champions(journal, 1)
    put(store, "v1", "v1w", "train", "holdout")
    done = scrub(journal, store)
    assert done.sound
    assert (done.artifacts, done.size) == (4, len("v1v1wtrainholdout"))
    assert done == sweep.Scrubbed(4, done.size, (), (), (), 0)


def test_scrub_names_what_is_needed_and_not_there(
    journal: SqliteJournal, store: DirectoryArtifacts
) -> None:
    champions(journal, 1)
    put(store, "v1", "train")
    done = scrub(journal, store)
    assert not done.sound
    assert set(done.missing) == {line.digest("v1w"), line.digest("holdout")}


def test_scrub_moves_a_damaged_artifact_aside(
    journal: SqliteJournal, store: DirectoryArtifacts, tmp_path: Path
) -> None:
    champions(journal, 1)
    put(store, "v1", "v1w", "train", "holdout")
    damage(store, line.digest("v1w"))
    done = scrub(journal, store)
    assert done.quarantined == done.missing == (line.digest("v1w"),)
    assert line.digest("v1w") not in store
    aside = list((tmp_path / "artifacts" / "quarantine").iterdir())
    assert [path.read_bytes() for path in aside] == [b"v1\x00"]
    assert scrub(journal, store).quarantined == ()


def test_scrub_mends_each_copy_from_the_other(journal: SqliteJournal, tmp_path: Path) -> None:
    store = Mirrored(tmp_path)
    digest = store.put(b"weights")
    store.copy.put(b"weights")
    damage(store, digest)
    assert scrub(journal, store).repaired == (digest,)
    assert store.whole(digest)
    damage(store.copy, digest)
    assert scrub(journal, store).repaired == (digest,)
    assert store.copy.whole(digest)
    assert scrub(journal, store) == sweep.Scrubbed(1, 7, (), (), (), 0)


def test_scrub_brings_what_is_named_and_missing_from_the_copy(
    journal: SqliteJournal, tmp_path: Path
) -> None:
    store = Mirrored(tmp_path)
    champions(journal, 1)
    for text in ("v1", "v1w", "train", "holdout", "orphan"):
        store.copy.put(text.encode())
    done = scrub(journal, store)
    assert done.sound
    assert there(store) == {"v1", "v1w", "train", "holdout"}
    assert set(done.repaired) == set(store.digests())


def test_scrub_reports_damage_in_both_copies(journal: SqliteJournal, tmp_path: Path) -> None:
    store = Mirrored(tmp_path)
    digest = store.put(b"weights")
    store.copy.put(b"weights")
    damage(store, digest)
    damage(store.copy, digest)
    done = scrub(journal, store)
    assert (done.quarantined, done.repaired) == ((digest,), ())
    assert list(store.copy.digests()) == list(store.digests()) == []


def test_scrub_counts_leftovers(journal: SqliteJournal, store: DirectoryArtifacts) -> None:
    put(store, "x", at=NOW)
    for name, at in ((".new-1", OLD), (".new-2", NOW)):
        begun = store._place(digest_bytes(b"x")).parent / name
        begun.write_bytes(b"half")
        os.utime(begun, (at, at))
    assert scrub(journal, store).leftovers == 1
    assert store.leftovers(math.inf) == 2
