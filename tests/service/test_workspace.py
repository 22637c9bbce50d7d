"""What people can do, on a ledger that holds whatever a test wants; the worker is not started."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from instar.core.errors import InputError, IntegrityError
from instar.core.records import Phase, VoteKind
from instar.core.tools import Route
from instar.core.update import State
from instar.ledger.journal import LostLease, SqliteJournal
from instar.service import Workspace
from instar.service.child import WorkerDied, _follow, as_file, located
from instar.service.errors import NotNow, NoWayBack, OwnUpdate, UnknownUpdate
from instar.serving.client import GatewayTraffic
from instar.serving.routefile import FencedRoute
from tests.service import line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose tasks for the worker are noted instead of done."""
    monkeypatch.setattr(Workspace, "_work", lambda self, task, tell, **args: {"did": task, **args})
    return tmp_path


@contextmanager
def line_of(folder: Path, *records: Any) -> Iterator[SqliteJournal]:
    journal = line.lay_out(folder, line.REQUEST, *records)
    try:
        yield journal
    finally:
        journal.close()


WAITING = (*line.MADE, line.approval(votes=()))
APPROVED = (*line.MADE, line.approval())


# Votes.


def test_vote_binds_what_the_person_saw(folder: Path) -> None:
    with line_of(folder, *line.MADE, replace(line.approval(), verdict=line.OPEN)) as journal:
        line.space(folder, "bob").approve("u0001", reason="read")
        (entry,) = journal.entries(kind="vote")
    said = line.vote(VoteKind.APPROVE, "bob", at=entry.body["at"], reason="read")
    assert entry.body == line.encode(said)
    assert entry.actor == "bob"


@pytest.mark.parametrize(
    "records",
    [
        (),
        (line.ADMISSION,),
        line.MADE[:4],
        (*line.MADE[:4], replace(line.VALIDATION, verdict=line.Verdict.FAIL)),
        (*APPROVED, line.moving(Phase.STEP, 0.1)),
        (*APPROVED, line.moving(Phase.ROLLED_BACK, 0.0)),
    ],
    ids=["asked", "admitted", "packaged", "refused", "releasing", "rolled back"],
)
def test_vote_is_refused_unless_the_update_waits_for_people(
    folder: Path, records: tuple[Any, ...]
) -> None:
    with line_of(folder, *records) as journal:
        for say in (
            lambda space: space.approve("u0001"),
            lambda space: space.reject("u0001", reason="no"),
        ):
            with pytest.raises(NotNow):
                say(line.space(folder))
        assert journal.entries(kind="vote") == []


@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_rejection_and_override_want_a_reason(folder: Path, reason: str) -> None:
    with line_of(folder, *line.MADE[:4], line.TOO_GOOD) as journal:
        with pytest.raises(InputError, match="reason"):
            line.space(folder).reject("u0001", reason=reason)
        with pytest.raises(InputError, match="reason"):
            line.space(folder).override("u0001", "suspicious", reason=reason)
        assert journal.entries(kind="vote") == []


def test_override_of_an_unknown_finding_lists_the_open_ones(folder: Path) -> None:
    with line_of(folder, *line.MADE[:4], line.TOO_GOOD) as journal:
        with pytest.raises(InputError, match="out of suspicious; got 'suspicios'"):
            line.space(folder).override("u0001", "suspicios", reason="fine")
        assert journal.entries(kind="vote") == []


@pytest.mark.parametrize("by", ["alice", " Alice ", "ALICE"])
def test_nobody_speaks_for_their_own_update_but_may_reject_it(folder: Path, by: str) -> None:
    with line_of(folder, *line.MADE[:4], line.TOO_GOOD) as journal:
        with pytest.raises(OwnUpdate):
            line.space(folder, by).approve("u0001")
        with pytest.raises(OwnUpdate):
            line.space(folder, by).override("u0001", "suspicious", reason="fine")
        assert journal.entries(kind="vote") == []
        assert line.space(folder, by).reject("u0001", reason="no").state is State.REJECTED


def test_rejection_ends_the_update(folder: Path) -> None:
    with line_of(folder, *WAITING):
        done = line.space(folder).reject("u0001", reason="too risky")
        assert (done.state, done.exit_code) == (State.REJECTED, 1)
        with pytest.raises(NotNow):
            line.space(folder).approve("u0001")


# Release, abort, rollback.


def test_release_wants_an_approval(folder: Path) -> None:
    with line_of(folder, *line.MADE), pytest.raises(NotNow, match="an approved update"):
        line.space(folder).release("u0001")


def test_release_under_an_old_approval_asks_for_a_new_one(folder: Path) -> None:
    old = line.approval(expires_at=time.time() - 1)
    with line_of(folder, *line.MADE, old), pytest.raises(NotNow, match="instar approve u0001"):
        line.space(folder).release("u0001")


def test_release_that_has_begun_goes_on_under_an_old_approval(folder: Path) -> None:
    old = line.approval(expires_at=time.time() - 1)
    with line_of(folder, *line.MADE, old, line.moving(Phase.STEP, 0.1)):
        assert line.space(folder).release("u0001").state is State.RELEASING


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.PROMOTED])
def test_release_that_has_ended_is_refused(folder: Path, phase: Phase) -> None:
    with line_of(folder, *APPROVED, line.moving(phase, 0.0)) as journal:
        line.crown(journal, replace(line.model(line.NEW, line.OLD), update="u0001"))
        with pytest.raises(NotNow):
            line.space(folder).release("u0001")


def wanted(folder: Path, **shares: float) -> GatewayTraffic:
    """Write the route that a release in its second step wants; no gateway runs."""
    traffic = GatewayTraffic(folder / ".instar", "demand")
    manifests = {name: line.digest(name) for name in shares}
    traffic.put(Route("demand", 7, shares, manifests, line.OLD))
    return traffic


def test_abort_of_a_release_gives_traffic_back_first(folder: Path) -> None:
    with line_of(folder, *APPROVED, line.moving(Phase.STEP, 0.25)):
        traffic = wanted(folder, **{line.OLD: 0.75, line.NEW: 0.25})
        done = line.space(folder).abort("u0001", reason="no")
        assert done.state is State.WITHDRAWN
        assert traffic.route().shares == {line.OLD: 1.0}


def test_abort_of_what_has_ended_or_is_promoted_is_refused(folder: Path) -> None:
    with line_of(folder, *APPROVED, line.moving(Phase.PROMOTING, 0.5)) as journal:
        line.crown(journal, replace(line.model(line.NEW, line.OLD), update="u0001"))
        with pytest.raises(NotNow, match="instar rollback"):
            line.space(folder).abort("u0001", reason="no")
        assert journal.entries(kind="withdrawn") == []


def test_abort_fences_off_whoever_works_and_needs_no_lease(folder: Path) -> None:
    with line_of(folder, *APPROVED, line.moving(Phase.PROMOTING, 0.5)) as journal:
        wanted(folder, **{line.OLD: 0.5, line.NEW: 0.5})
        epoch = journal.acquire("demand", "worker", 60.0, time.time())
        here = journal.champion("demand")
        line.space(folder).abort("u0001", reason="no")
        made = replace(line.model(line.NEW, line.OLD), update="u0001")
        with pytest.raises(LostLease):
            journal.promote(
                "demand", expect=here.seq, body=line.encode(made), actor="w", epoch=epoch
            )
        late = GatewayTraffic(folder / ".instar", "demand", epoch=epoch)
        with pytest.raises(FencedRoute):
            late.put(late.route().home(line.NEW, line.digest(line.NEW)))
        assert late.route().shares == {line.OLD: 1.0}
        assert journal.champion("demand") == here


def test_abort_that_a_promotion_forestalled_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with line_of(folder, *APPROVED, line.moving(Phase.PROMOTING, 0.5)) as journal:
        wanted(folder, **{line.OLD: 0.5, line.NEW: 0.5})
        space = line.space(folder)
        before = space.state("u0001")
        line.crown(journal, replace(line.model(line.NEW, line.OLD), update="u0001"))
        monkeypatch.setattr(Workspace, "state", lambda *_: before)  # it looked a moment too early
        with pytest.raises(NotNow, match="instar rollback"):
            space.abort("u0001", reason="no")
        assert journal.entries(kind="withdrawn") == []
        assert journal.champion("demand").body["name"] == line.NEW
        assert GatewayTraffic(folder / ".instar", "demand").route().generation == 7


def test_rollback_fences_off_a_worker_that_is_about_to_move_the_traffic(folder: Path) -> None:
    with line_of(folder, *APPROVED, line.moving(Phase.PROMOTING, 0.5)) as journal:
        line.crown(journal, replace(line.model(line.NEW, line.OLD), update="u0001"))
        wanted(folder, **{line.OLD: 0.5, line.NEW: 0.5})
        epoch = journal.acquire("demand", "worker", 60.0, time.time())
        assert line.space(folder).rollback(reason="worse")["champion"] == line.OLD
        late = GatewayTraffic(folder / ".instar", "demand", epoch=epoch)
        with pytest.raises(FencedRoute):
            late.put(late.route().home(line.NEW, line.digest(line.NEW)))
        with pytest.raises(LostLease):
            line.file(journal, line.moving(Phase.PROMOTED, 1.0), epoch=epoch)
        assert late.route().shares == {line.OLD: 1.0}
        assert line.space(folder).status()["traffic"] is None


def test_rollback_that_died_before_its_record_is_told_by_status_and_finished(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with line_of(folder) as journal:
        wanted(folder, **{line.OLD: 1.0})
        with monkeypatch.context() as patch:
            patch.setattr(SqliteJournal, "promote", dies)
            with pytest.raises(KeyboardInterrupt):
                line.space(folder).rollback(reason="worse")
        space = line.space(folder)
        told = space.status()["traffic"]
        assert told["next"] == "instar rollback --reason WHY"
        assert line.ZERO in told["problem"]
        space.settle()
        assert space.route().shares == {line.ZERO: 1.0}  # nobody moves it against a person's will
        assert space.rollback(reason="worse")["champion"] == line.ZERO
        assert space.status()["traffic"] is None
        assert len(journal.entries(kind="rollback")) == 1


def test_worker_that_was_told_to_stop_is_no_end_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"update": "u0001", "interrupted": "the order to stop, after step 7 of epoch 2"}
    monkeypatch.setattr(Workspace, "_work", lambda *_, **__: said)
    with line_of(folder, line.ADMISSION, line.PLAN):
        done = line.space(folder).resume("u0001")
    assert (done.state, done.exit_code) == (State.RUNNING, 3)
    assert done.message == "interrupted: the order to stop, after step 7 of epoch 2"
    assert done.next == "instar resume u0001"


def test_rollback_moves_traffic_before_it_records(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise IntegrityError("a ledger", "a full disk", "make room")

    with line_of(folder):
        traffic = wanted(folder, **{line.OLD: 1.0})
        monkeypatch.setattr(SqliteJournal, "promote", full)
        space = line.space(folder)
        with pytest.raises(IntegrityError):
            space.rollback(reason="worse")
        assert traffic.route().shares == {line.ZERO: 1.0}
        assert space.champion().name == line.OLD  # calling again is all there is to do
        monkeypatch.undo()
        assert space.rollback(reason="worse")["champion"] == line.ZERO


def test_rollback_works_while_no_gateway_runs(folder: Path) -> None:
    with line_of(folder) as journal:
        traffic = wanted(folder, **{line.OLD: 1.0})
        done = line.space(folder).rollback(reason="worse")
        assert (done["champion"], done["was"], done["in_force"]) == (line.ZERO, line.OLD, False)
        assert traffic.route().shares == {line.ZERO: 1.0}
        assert line.space(folder).champion().name == line.ZERO
        (back,) = line.space(folder).history(kind="rollback")
        assert back.actor == "bob"
        assert journal.entries(kind="note")[0].body["reason"] == "worse"
        assert journal.verify() == []


def test_rollback_from_the_first_champion_is_refused(folder: Path) -> None:
    with line_of(folder):
        wanted(folder, **{line.OLD: 1.0})
        line.space(folder).rollback(reason="worse")
        with pytest.raises(NoWayBack, match=line.ZERO):
            line.space(folder).rollback(reason="worse still")


@pytest.mark.parametrize("phase", [Phase.STEP, Phase.PAUSED, Phase.ABORTING])
def test_rollback_during_a_release_names_the_abort(folder: Path, phase: Phase) -> None:
    with line_of(folder, *APPROVED, line.moving(phase, 0.25)):
        traffic = wanted(folder, **{line.OLD: 0.75, line.NEW: 0.25})
        with pytest.raises(NotNow, match="instar abort u0001"):
            line.space(folder).rollback(reason="worse")
        assert traffic.route().generation == 7


# Reading.


def test_next_step_is_a_command_that_helps(folder: Path) -> None:
    with line_of(folder, *line.MADE[:4], line.TOO_GOOD) as journal:
        space = line.space(folder)
        wanted = "instar approve u0001 --override suspicious --by NAME --reason WHY"
        assert space.outcome("u0001").next == wanted  # not what is only reported
        line.file(journal, line.approval())
        assert space.outcome("u0001").next == "instar release u0001"
        line.file(journal, line.moving(Phase.STEP, 0.1))
        assert space.outcome("u0001").next == "instar release u0001"


def test_candidates_that_were_refused_before_the_last_are_told(folder: Path) -> None:
    last = replace(line.PLAN, strategy="full", tried=("warm", "incremental-stable"))
    worse = line.finding("metrics:auroc", line.Verdict.FAIL)
    refused = replace(line.VALIDATION, verdict=line.Verdict.FAIL, findings=(worse,))
    with line_of(folder, line.ADMISSION, last, line.TRAINING, line.BUNDLE, refused):
        told = line.space(folder).outcome("u0001")
    assert told.state is State.REFUSED
    wanted = "candidates of warm and incremental-stable were refused before this one of full"
    assert told.message == wanted


def test_unknown_update_lists_the_known_ones_and_makes_no_ledger(folder: Path) -> None:
    (folder / "instar.yaml").write_text(line.YAML)
    for look in (Workspace.state, Workspace.outcome, Workspace.report, Workspace.approve):
        with pytest.raises(UnknownUpdate, match="there is none yet"):
            look(line.space(folder), "u0007")
    assert not (folder / ".instar").exists()
    with line_of(folder), pytest.raises(UnknownUpdate, match="known: u0001"):
        line.space(folder).outcome("u0007")


def test_work_without_a_champion_is_refused_and_makes_no_ledger(folder: Path) -> None:
    (folder / "instar.yaml").write_text(line.YAML)
    for ask in (
        lambda space: space.check(FRAME),
        lambda space: space.plan(FRAME),
        lambda space: space.update(FRAME, reason="weekly"),
        lambda space: space.champion(),
    ):
        with pytest.raises(InputError, match="instar adopt"):
            ask(line.space(folder))
    assert not (folder / ".instar").exists()


def test_updates_are_told_newest_first(folder: Path) -> None:
    with line_of(folder, replace(line.ADMISSION, verdict=line.Verdict.FAIL)) as journal:
        second = replace(line.REQUEST, update="u0002", reason="monthly")
        journal.append(
            "request", line.encode(second), update="u0002", model="demand", actor="alice"
        )
        rows = line.space(folder).status()["updates"]
    assert [(row["update"], row["state"]) for row in rows] == [
        ("u0002", "running"),
        ("u0001", "refused"),
    ]


def test_report_of_an_update_tells_who_is_champion_now(folder: Path) -> None:
    with line_of(folder, *WAITING):
        page = line.space(folder).report("u0001")
    assert page.startswith("<!doctype html>")
    assert line.NEW in page


def test_audit_finds_every_flipped_byte_or_the_file_is_as_good_as_before(folder: Path) -> None:
    with line_of(folder, *WAITING) as journal:
        told = [entry.hash for entry in journal.entries()]
    file = folder / ".instar" / "ledger.db"
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    caught = 0
    for place in random.integers(0, len(whole), 600):
        broken = bytearray(whole)
        broken[place] ^= 1 << int(random.integers(8))
        file.write_bytes(broken)
        space = line.space(folder)
        try:
            if space.audit()["problems"]:
                caught += 1
            else:
                assert [entry.hash for entry in space.history()] == told, int(place)
        except IntegrityError:
            caught += 1
        finally:
            if "journal" in space.__dict__:
                space.journal.close()
    assert caught > 30


def test_audit_of_an_altered_entry_names_it(folder: Path) -> None:
    with line_of(folder, *WAITING):
        pass
    with sqlite3.connect(folder / ".instar" / "ledger.db") as database:
        database.execute("UPDATE entries SET actor = 'mallory' WHERE seq = 3")
    database.close()
    space = line.space(folder)
    (problem,) = space.audit()["problems"]
    assert problem.startswith("entry 3:")
    space.journal.close()


# Names and frames.


@pytest.mark.parametrize("name", ["data/a.parquet", "data/*.parquet", "data"])
def test_relative_name_is_looked_for_here_and_in_the_workspace(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, here = tmp_path / "root", tmp_path / "here"
    for place in (root, here):
        (place / "data").mkdir(parents=True)
    (root / "data" / "a.parquet").touch()
    monkeypatch.chdir(tmp_path)
    assert located(name, root) == str(root / name)
    (here / "data" / "a.parquet").touch()
    monkeypatch.chdir(here)
    assert located(name, root) == str(here / name)  # here wins
    assert located(here / name, root) == str(here / name)


def test_name_that_is_nowhere_stays_as_it_is(tmp_path: Path) -> None:
    assert located("nothing.parquet", tmp_path) == "nothing.parquet"
    assert located("s3://bucket/a.parquet", tmp_path) == "s3://bucket/a.parquet"


FRAME = pl.DataFrame({"x": [1.5, None, 3.0], "shop": ["north", None, "south"]})


def test_polars_frame_becomes_a_file_for_the_while(tmp_path: Path) -> None:
    with as_file(FRAME, tmp_path) as name:
        assert pl.read_parquet(name).equals(FRAME)
    assert not Path(name).exists()


@pytest.mark.parametrize("index", [None, [7, 8, 9], ["a", "b", "c"]])
def test_pandas_frame_becomes_a_file_without_its_index(tmp_path: Path, index: Any) -> None:
    frame = pd.DataFrame({"x": [1.5, np.nan, 3.0], "shop": ["north", None, "south"]}, index=index)
    with as_file(frame, tmp_path) as name:
        assert pl.read_parquet(name).equals(FRAME)


@pytest.mark.parametrize("source", [7, None, {"x": [1]}, FRAME.lazy()])
def test_what_is_no_frame_is_refused(tmp_path: Path, source: Any) -> None:
    with pytest.raises(InputError, match="data frame"), as_file(source, tmp_path):
        pass


# Following the worker.


def process(code: str, out: Path) -> subprocess.Popen[bytes]:
    out.touch()
    return subprocess.Popen([sys.executable, "-c", code, str(out)])


def test_line_that_is_written_in_two_halves_is_read_as_one(tmp_path: Path) -> None:
    code = (
        "import sys, time; f = open(sys.argv[1], 'a')\n"
        'f.write(\'{"progress": {"wh\'); f.flush(); time.sleep(0.3)\n'
        'f.write(\'at": "train"}}\\n{"result": {"a": 1}}\\n\')'
    )
    seen: list[Any] = []
    out = tmp_path / "out"
    assert _follow(process(code, out), out, tmp_path / "log", seen.append) == {"a": 1}
    assert seen == [{"what": "train"}]


def test_worker_that_dies_without_a_word_is_reported(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("Traceback\nMemoryError: no room\n")
    out = tmp_path / "out"
    with pytest.raises(WorkerDied, match="exit 9: MemoryError: no room"):
        _follow(process("import sys; sys.exit(9)", out), out, tmp_path / "log", None)


def test_user_is_who_is_given_then_instar_user_then_who_is_logged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "login")
    monkeypatch.delenv("INSTAR_USER", raising=False)
    assert Workspace(tmp_path).by == "login"
    monkeypatch.setenv("INSTAR_USER", "env")
    assert Workspace(tmp_path).by == "env"
    assert Workspace(tmp_path, by="given").by == "given"
