"""An update that is asked for while a release is under way: refused, queued, or in its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar import worker
from instar.core.codec import encode
from instar.core.digest import canonical
from instar.core.errors import InputError
from instar.core.policy import Policy, StepRule
from instar.core.records import Phase, Release, ReleasePlan, Request
from instar.core.tools import Route
from instar.core.update import State, replay
from instar.ledger import queue
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import LostLease
from instar.serving import routefile
from instar.worker import arrival
from tests.service import line
from tests.test_worker import over

Work = worker.Work


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """A workspace in which stages do nothing, and data are never read."""
    policy = DirectoryArtifacts(tmp_path / ".instar" / "artifacts").put(canonical(encode(Policy())))
    line.lay_out(tmp_path, replace(line.REQUEST, policy=policy)).close()
    made = over(tmp_path, by="eve")
    monkeypatch.setattr(worker, "carry", lambda *_, **__: None)
    monkeypatch.setattr(worker.intake, "ask", asked)
    monkeypatch.setattr(worker.arrival, "load", lambda fresh, _: fresh)
    yield made
    made.journal.close()


def asked(project: Any, champion: Any, source: Any, tools: Any, name: str) -> Any:
    return worker.intake.Asked(line.snapshot(name), line.TASK, champion.network, ("x", "shop"))


def under_way(work: Work, rule: str, phase: Phase = Phase.STEP) -> None:
    """Let u0001 be released, a quarter of the traffic with its candidate."""
    steps = (StepRule(share=0.25),)
    plan = ReleasePlan(line.OLD, line.NEW, "canary", steps, {}, line.REQUEST.policy, rule)
    moving = replace(line.moving(phase, 0.25), plan=plan)
    line.file(work.journal, *line.MADE, line.approval(), moving)
    manifests = {name: line.digest(name) for name in (line.OLD, line.NEW)}
    split = Route("demand", 7, {line.OLD: 0.75, line.NEW: 0.25}, manifests, line.OLD)
    routefile.write(work.home, split)


def ask(work: Work, reason: str = "monthly") -> dict[str, Any]:
    return worker.update(work, source="later.parquet", reason=reason, seed=7)


def test_refusal_leaves_everything_as_it_was(work: Work) -> None:
    under_way(work, "refuse")
    before = work.journal.count()
    with pytest.raises(worker.UpdateRunning, match="u0001"):
        ask(work)
    assert work.journal.count() == before
    assert routefile.read(work.home).shares[line.NEW] == 0.25


@pytest.mark.parametrize("rule", ["queue", "replace"])
@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.ABORTING])
def test_release_at_its_end_is_waited_for_whatever_the_rule(
    work: Work, rule: str, phase: Phase
) -> None:
    under_way(work, rule, phase)
    with pytest.raises(worker.UpdateRunning):
        ask(work)
    assert work.journal.entries(kind="withdrawn") == []


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.STEP, Phase.PAUSED])
def test_queued_update_begins_with_its_own_data_once_the_release_has_ended(
    work: Work, phase: Phase
) -> None:
    under_way(work, "queue", phase)
    done = ask(work)
    assert (done["update"], routefile.read(work.home).shares[line.NEW]) == ("u0001", 0.25)
    assert worker.begin_queued(work)["update"] is None  # the release goes on
    line.file(work.journal, line.moving(Phase.ROLLED_BACK, 0.0))
    with pytest.raises(worker.OthersFirst, match="instar resume"):
        ask(work)
    assert worker.begin_queued(work)["update"] == "u0002"
    (entry,) = work.journal.entries(update="u0002", kind="request")
    request = replay([entry]).records[Request]
    assert (request.fresh.source, request.seed, request.reason) == ("later.parquet", 7, "monthly")
    assert (request.by, entry.actor, request.champion) == (work.actor, work.actor, line.OLD)
    assert queue.waiting(work.journal) == []
    assert worker.begin_queued(work)["update"] is None


def test_queued_updates_are_taken_in_order_and_one_whose_data_do_not_fit_is_passed_over(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way(work, "queue")
    for reason in ("first", "second"):
        ask(work, reason)
    line.file(work.journal, line.moving(Phase.ROLLED_BACK, 0.0))
    told: list[str] = []

    def fussy(*given: Any) -> Any:
        if not told:
            told.append("no")
            raise InputError("a column x", "none", "bring it")
        return asked(*given)

    monkeypatch.setattr(worker.intake, "ask", fussy)
    assert worker.begin_queued(work)["update"] == "u0002"
    (note,) = work.journal.entries(kind="note")
    assert "a column x" in note.body["reason"]
    (entry,) = work.journal.entries(update="u0002", kind="request")
    assert entry.body["reason"] == "second"


def test_newcomer_that_replaces_withdraws_the_release_and_fences_its_worker_off(
    work: Work,
) -> None:
    under_way(work, "replace")
    epoch = work.journal.acquire("demand", "a worker", 60.0, work.tools.clock.now())
    assert ask(work)["update"] == "u0002"
    assert routefile.read(work.home).shares == {line.OLD: 1.0}
    state = replay(work.journal.entries(update="u0001"))
    assert (state.state, state.withdrawn) == (
        State.WITHDRAWN,
        "replaced by a newer update: monthly",
    )
    (entry,) = work.journal.entries(kind="withdrawn")
    assert entry.body["before"] == {line.OLD: 0.75, line.NEW: 0.25}
    assert entry.body["after"] == {line.OLD: 1.0}
    with pytest.raises(LostLease):
        line.file(work.journal, line.moving(Phase.STEP, 0.5), epoch=epoch)


def test_newcomer_whose_data_cannot_be_read_replaces_nothing(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: Any) -> Any:
        raise InputError("a file", "none", "name one")

    under_way(work, "replace")
    monkeypatch.setattr(worker.intake, "ask", unreadable)
    with pytest.raises(InputError, match="a file"):
        ask(work)
    assert replay(work.journal.entries(update="u0001")).state is State.RELEASING
    assert routefile.read(work.home).shares[line.NEW] == 0.25


def test_promotion_at_the_same_moment_wins_over_a_newcomer(work: Work) -> None:
    under_way(work, "replace")
    before = arrival.berth(work)
    assert before is not None
    line.crown(work.journal, replace(line.model(line.NEW, line.OLD), update="u0001"))
    with pytest.raises(worker.UpdateRunning, match="promoted"):
        arrival.displace(work, before, "monthly")
    assert replay(work.journal.entries(update="u0001")).withdrawn == ""


def test_end_of_a_release_hands_the_queue_on_to_a_process_of_its_own(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []

    class Noted:
        stdin = None

        def __init__(self, words: list[str], **_: Any) -> None:
            begun.append(words)

    monkeypatch.setattr(arrival.subprocess, "Popen", Noted)
    under_way(work, "queue")
    arrival.hand_on(work)
    assert begun == []
    ask(work)
    arrival.hand_on(work)
    assert begun[0][1:] == ["-m", "instar.worker"]


def test_release_from_before_there_were_plans_refuses(work: Work) -> None:
    under_way(work, "queue")
    old = line.moving(Phase.STEP, 0.25)
    line.file(work.journal, old)
    assert replay(work.journal.entries(update="u0001")).get(Release).plan is None
    with pytest.raises(worker.UpdateRunning):
        ask(work)
