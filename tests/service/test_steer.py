"""What a person tells a release under way, and how it stands at a moment; no worker is started."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.core.codec import decode, encode
from instar.core.errors import InputError, UnknownName
from instar.core.policy import StepRule
from instar.core.records import Order, OrderKind, Pause, Phase, Release, ReleasePlan
from instar.core.update import State
from instar.ledger.journal import SqliteJournal
from instar.service import Workspace, steer
from instar.service.errors import NotNow, OwnUpdate
from instar.serving import looks
from tests.service import line

STEPS = (StepRule(share=0.25), StepRule(share=0.5))
PLAN = ReleasePlan(line.OLD, line.NEW, "canary", STEPS, {"slow": 0.1}, line.REQUEST.policy)
STEP = replace(line.moving(Phase.STEP, 0.25), plan=PLAN, config="sha256:c", cause="approval")
HALTED = replace(STEP, phase=Phase.PAUSED, paused=Pause.PERSON)


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that were given to a worker, which does nothing."""
    done: list[str] = []

    def work(self: Workspace, task: str, tell: Any, **args: Any) -> dict[str, Any]:
        done.append(task)
        return args

    monkeypatch.setattr(Workspace, "_work", work)
    return done


@contextmanager
def line_of(folder: Path, *records: Any) -> Iterator[SqliteJournal]:
    journal = line.lay_out(folder, line.REQUEST, *line.MADE, line.approval(), *records)
    try:
        yield journal
    finally:
        journal.close()


def orders(journal: SqliteJournal) -> list[Order]:
    return [decode(Order, entry.body) for entry in journal.entries(kind="order")]


def carrying(journal: SqliteJournal, now: Release) -> threading.Thread:
    """Play a worker that holds the lease, and heeds an order when one is given."""
    epoch = journal.acquire("demand", "a worker", 60.0, time.time())

    def heed() -> None:
        until = time.monotonic() + 30
        while not journal.entries(kind="order") and time.monotonic() < until:
            time.sleep(0.02)
        line.file(journal, now, epoch=epoch)

    thread = threading.Thread(target=heed)
    thread.start()
    return thread


def test_pause_is_recorded_with_its_reason_and_heeded_by_the_worker(
    tmp_path: Path, did: list[str]
) -> None:
    with line_of(tmp_path, STEP) as journal:
        worker = carrying(journal, replace(HALTED, orders=1))
        done = line.space(tmp_path).pause("u0001", reason="a sale")
        worker.join()
        (given,) = orders(journal)
        assert (given.kind, given.reason) == (OrderKind.PAUSE, "a sale")
        assert given.by.startswith("person:")
    assert (done.changed, done.next, did) == (True, "instar resume u0001", [])


def test_release_in_the_shadow_may_be_paused_and_promoted(tmp_path: Path, did: list[str]) -> None:
    with line_of(tmp_path, replace(STEP, phase=Phase.SHADOW, step=0)) as journal:
        space = line.space(tmp_path)
        space.pause("u0001", reason="a sale begins")
        space.promote("u0001", reason="the sale is over", step=True)
        assert [order.kind for order in orders(journal)] == [OrderKind.PAUSE, OrderKind.SKIP]


def test_order_that_nobody_heeds_says_so_and_stays(
    tmp_path: Path, did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with line_of(tmp_path, STEP) as journal:
        done = line.space(tmp_path).pause("u0001", reason="a sale")  # no worker runs
        assert (done.changed, done.next) == (False, "instar release u0001")
        monkeypatch.setattr(steer, "_HEARD_S", -2.0)  # less the ticks: at once
        journal.acquire("demand", "one that hangs", 60.0, time.time())
        assert not line.space(tmp_path).pause("u0001", reason="again").changed
        assert len(orders(journal)) == 2
    assert did == []


def test_pause_of_what_is_paused_is_said_and_changes_nothing(
    tmp_path: Path, did: list[str]
) -> None:
    with line_of(tmp_path, HALTED) as journal:
        done = line.space(tmp_path).pause("u0001", reason="a sale")
        assert (done.changed, done.message) == (False, "it is paused already")
        assert orders(journal) == []


def test_resume_lets_a_paused_release_go_on_and_carries_it(tmp_path: Path, did: list[str]) -> None:
    with line_of(tmp_path, HALTED) as journal:
        line.space(tmp_path).resume("u0001", reason="the sale is over")
        (given,) = orders(journal)
        assert (given.kind, given.reason, did) == (
            OrderKind.RESUME,
            "the sale is over",
            ["release"],
        )


def test_resume_carries_on_a_release_that_nobody_carries_without_a_word(
    tmp_path: Path, did: list[str]
) -> None:
    with line_of(tmp_path, STEP) as journal:
        line.space(tmp_path).resume("u0001")
        assert (orders(journal), did) == ([], ["release"])


def test_promotion_wants_a_reason_a_known_gate_and_for_that_somebody_else(
    tmp_path: Path, did: list[str]
) -> None:
    with line_of(tmp_path, STEP) as journal:
        bob, alice = line.space(tmp_path), line.space(tmp_path, "alice")
        with pytest.raises(InputError, match="a reason"):
            bob.promote("u0001", reason=" ")
        with pytest.raises(UnknownName, match="slow"):
            bob.promote("u0001", reason="now", lets_pass=["sloww"])
        with pytest.raises(OwnUpdate):
            alice.promote("u0001", reason="now", lets_pass=["slow"])
        assert orders(journal) == []
        alice.promote("u0001", reason="now")
        bob.promote("u0001", reason="tonight", step=True, lets_pass=["slow"])
        kinds = [(given.kind, given.lets_pass) for given in orders(journal)]
        assert kinds == [(OrderKind.PROMOTE, ()), (OrderKind.SKIP, ("slow",))]
    assert did == ["release", "release"]


def test_another_worker_that_is_faster_is_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        error = InputError("the model to be free", "somebody at work on it", "wait")
        error.code = "input.busy"  # type: ignore[misc]  # as it comes from a worker
        raise error

    monkeypatch.setattr(Workspace, "_work", busy)
    with line_of(tmp_path, STEP):
        assert line.space(tmp_path).promote("u0001", reason="now").state is State.RELEASING


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.PROMOTING, Phase.ABORTING], ids=str)
def test_release_outside_its_steps_takes_no_order(
    tmp_path: Path, did: list[str], phase: Phase
) -> None:
    with line_of(tmp_path, replace(STEP, phase=phase)) as journal:
        for tell in (Workspace.pause, Workspace.promote):
            with pytest.raises(NotNow):
                tell(line.space(tmp_path), "u0001", reason="now")
        assert orders(journal) == []


def test_abort_of_nothing_says_so_and_writes_nothing(tmp_path: Path, did: list[str]) -> None:
    with line_of(tmp_path, replace(STEP, phase=Phase.ROLLED_BACK)) as journal:
        before = journal.count()
        for done in (
            line.space(tmp_path).abort("u0001", reason="no"),
            line.space(tmp_path).abort_open(reason="no"),
        ):
            assert (done.changed, done.exit_code) == (False, 0)
            assert done.message.startswith("nothing is in progress: u0001 is rolled back")
        assert journal.count() == before


def test_abort_without_a_name_withdraws_what_is_open_and_records_the_shares(
    tmp_path: Path, did: list[str]
) -> None:
    with line_of(tmp_path) as journal:
        done = line.space(tmp_path).abort_open(reason="no")
        assert (done.update, done.state, done.exit_code) == ("u0001", State.WITHDRAWN, 1)
        assert journal.entries(kind="withdrawn")[0].body == {"reason": "no"}


# A release as it is at this moment.


def test_live_shows_the_last_look_over_the_last_record(tmp_path: Path, did: list[str]) -> None:
    with line_of(tmp_path, STEP):
        space = line.space(tmp_path)
        bare = space.live()
        assert (bare["update"], bare["looked_at"], bare["gateway"]) == ("u0001", None, False)
        assert (bare["carried"], bare["findings"]) == (False, [])
        seen = replace(STEP, requests=77, findings=(line.finding("slow"),), reason="waits")
        looks.note(space.home, "u0001", seen, 12.5, 1)
        looks.note(space.home, "u0002", replace(seen, requests=1), 13.0, 1)
        found = space.live("u0001")
    assert (found["looked_at"], found["reason"]) == (12.5, "waits")
    assert found["findings"][0]["code"] == "slow"
    assert found["served"] == {line.NEW: {"requests": 77}}
    assert [step["share"] for step in found["steps"]] == [0.25, 0.5]
    (move,) = found["moves"]
    assert (move["cause"], move["after"]) == ("approval", {line.OLD: 0.75, line.NEW: 0.25})


def test_record_of_a_release_reads_as_sentences(tmp_path: Path, did: list[str]) -> None:
    with line_of(tmp_path, STEP) as journal:
        line.space(tmp_path).pause("u0001", reason="a sale")
        line.file(journal, replace(HALTED, before={line.OLD: 0.9, line.NEW: 0.1}))
        said = [e["says"] for e in line.space(tmp_path).show("u0001")["entries"]]
    assert ["bob pauses the release: a sale"] in said
    assert any("25.0%, 10.0% before" in text for text in said[-1])
    assert encode(HALTED)["paused"] == "person"
