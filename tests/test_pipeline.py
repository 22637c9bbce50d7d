"""The runner on a real ledger: stages that are made up, an approval and a release that are real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar import pipeline
from instar.core.codec import encode
from instar.core.digest import digest_bytes, digest_json
from instar.core.errors import BackendError, IntegrityError, Interrupted
from instar.core.finding import Finding, Verdict
from instar.core.policy import (
    ApprovePolicy,
    Policy,
    ReleasePolicy,
    RunPolicy,
    StepRule,
    TrainPolicy,
)
from instar.core.records import Bundle, Network, Phase, Plan, Training, Validation, VoteKind
from instar.core.tools import Route, Tools
from instar.core.update import State, replay
from instar.ledger.journal import LostLease, SqliteJournal
from instar.pipeline import (
    ApprovalVoid,
    NetworkChanged,
    OutOfMemory,
    Overtaken,
    Quarantined,
    Runner,
)
from instar.testing.tools import FakeClock, FakeSigner, fake_tools
from instar.testing.traffic import Behaviour, FakeTraffic
from tests.service import line

STEPS = (StepRule(share=0.5, requests=40),)
POLICY = Policy(release=ReleasePolicy(steps=STEPS, tick_s=0.01))
WRITTEN = [0.0]  # the date that entries get: the clock of the ledger's own writer
YES = line.vote(VoteKind.APPROVE, "bob", at=FakeClock().now())


class Crash(Exception):
    """Stand for the end of the process: nothing catches it."""


class Stages:
    """Put functions that return made-up records in the place of the heavy stages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.makes: dict[type, Any] = {type(record): record for record in line.MADE}
        self.ran: list[str] = []
        self.got: dict[str, Mapping[str, Any]] = {}
        monkeypatch.setattr(pipeline, "STAGES", tuple(map(self._fake, pipeline.STAGES)))

    def _fake(self, stage: pipeline.Stage) -> pipeline.Stage:
        """Return what `makes` holds; of a list, one after the other, the last of them for good."""

        def run(*, policy: Any, tools: Tools, **inputs: Any) -> Any:
            self.ran.append(stage.name)
            self.got[stage.name] = inputs
            if stage.makes not in self.makes:
                return stage.run(**inputs, policy=policy, tools=tools)
            (tools.scratch / "half").touch()
            made = self.makes[stage.makes]
            if isinstance(made, list):
                made = made.pop(0) if len(made) > 1 else made[0]
            if isinstance(made, BaseException):
                raise made
            return made

        return replace(stage, run=run)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    return Stages(monkeypatch)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = line.lay_out(tmp_path, line.REQUEST, clock=lambda: WRITTEN[0])
    WRITTEN[0] = FakeClock().now()
    yield made
    made.close()


class Busy(FakeTraffic):
    """A gateway with steady requests: some come whenever somebody looks."""

    def served(self, since_generation: int = 0) -> Mapping[str, Any]:
        self.serve(20)  # so that a step takes several looks
        return super().served(since_generation)


def gateway() -> Busy:
    start = Route("demand", 1, {line.OLD: 1.0}, {line.OLD: line.digest(line.OLD)}, line.OLD)
    return Busy(start, {line.OLD: Behaviour(), line.NEW: Behaviour()})


def runner(journal: SqliteJournal, folder: Path, **more: Any) -> Runner:
    tools = replace(fake_tools(folder), traffic=more.pop("traffic", None))
    return Runner(journal, more.pop("policy", POLICY), tools, actor="worker", epoch=None)


def kinds(journal: SqliteJournal) -> list[str]:
    return [entry.kind for entry in journal.entries(update="u0001")]


def test_run_goes_through_the_stages_in_order_and_waits_for_people(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    done = runner(journal, tmp_path).run("u0001")
    assert stages.ran == ["admit", "plan", "train", "package", "validate", "approve"]
    records = ["admission", "plan", "training", "bundle", "validation", "approval"]
    assert kinds(journal) == ["request", *records]
    assert done.state is State.WAITING


def test_run_hands_each_stage_the_records_it_names(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    line.file(journal, YES)
    runner(journal, tmp_path).run("u0001")
    assert stages.got["package"]["training"] == line.TRAINING
    assert stages.got["train"]["champion"].name == line.OLD
    assert stages.got["approve"]["votes"] == (YES,)


def test_run_empties_the_scratch_folder_after_the_record(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    runner(journal, tmp_path).run("u0001")
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_run_stops_behind_a_stage_that_does_not_pass(
    journal: SqliteJournal, tmp_path: Path, stages: Stages, place: int, verdict: Verdict
) -> None:
    bad = replace(line.MADE[place], verdict=verdict)
    stages.makes[type(bad)] = bad
    done = runner(journal, tmp_path).run("u0001")
    assert len(stages.ran) == place + 1
    assert done.state is State.REFUSED
    assert len(runner(journal, tmp_path).run("u0001").kinds) == place + 2  # an end is an end


def test_run_ends_as_kept_where_the_plan_says_keep(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Plan] = replace(line.PLAN, strategy="keep")
    assert runner(journal, tmp_path).run("u0001").state is State.KEPT
    assert stages.ran == ["admit", "plan"]


def test_inconclusive_validation_waits_and_goes_on_only_after_votes(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Validation] = line.TOO_GOOD
    assert runner(journal, tmp_path).run("u0001").state is State.WAITING
    assert stages.ran[-1] == "validate"
    at = FakeClock().now()
    for kind, by, code in (
        (VoteKind.OVERRIDE, "carol", "suspicious"),
        (VoteKind.OVERRIDE, "dave", "suspicious"),
        (VoteKind.APPROVE, "bob", ""),
    ):
        assert runner(journal, tmp_path).run("u0001").verdict is Verdict.INCONCLUSIVE
        line.file(journal, line.vote(kind, by, line.TOO_GOOD, at=at, reason="seen", code=code))
    assert runner(journal, tmp_path).run("u0001").verdict is Verdict.PASS


def test_refused_candidate_is_followed_by_the_plans_next_strategy(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    first = replace(stages.makes[Plan], then={"flips": ("incremental-stable",)})
    second = replace(first, strategy="incremental-stable", then={}, tried=(first.strategy,))
    refusal = Finding("flips:fresh", Verdict.FAIL, "too many")
    passed = stages.makes[Validation]
    failed = replace(passed, verdict=Verdict.FAIL, findings=(refusal,))
    stages.makes |= {Plan: [first, second], Validation: [failed, passed]}
    stages.makes[Training] = [replace(stages.makes[Training], steps=n) for n in (1, 2)]
    state = runner(journal, tmp_path).run("u0001")
    judged = ["plan", "train", "package", "validate"]
    assert stages.ran == ["admit", *judged, *judged, "approve"]
    assert state.state is State.WAITING
    assert state.records[Plan].strategy == "incremental-stable"
    assert [rung.plan.strategy for rung in state.rungs] == [first.strategy]
    assert stages.got["plan"]["rungs"][0].validation == failed
    assert kinds(journal).count("plan") == kinds(journal).count("validation") == 2


def test_refusal_that_no_strategy_would_mend_ends_the_update(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Plan] = replace(stages.makes[Plan], then={"flips": ("warm",)})
    slow = Finding("latency", Verdict.FAIL, "too slow")
    flips = Finding("flips:fresh", Verdict.FAIL, "too many")
    failed = replace(stages.makes[Validation], verdict=Verdict.FAIL, findings=(flips, slow))
    stages.makes[Validation] = failed
    state = runner(journal, tmp_path).run("u0001")
    assert stages.ran == ["admit", "plan", "train", "package", "validate"]
    assert (state.state, state.rungs) == (State.REFUSED, ())


class Dying:
    """A journal whose process ends behind the n-th entry of a kind."""

    def __init__(self, journal: SqliteJournal, kind: str, number: int) -> None:
        self._journal, self._kind, self._left = journal, kind, number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def append(self, kind: str, *given: Any, **more: Any) -> Any:
        entry = self._journal.append(kind, *given, **more)
        self._left -= kind == self._kind
        if not self._left:
            raise Crash
        return entry


@pytest.mark.parametrize("after", ["validation", "plan", "training"])
def test_ladder_goes_on_where_it_was_cut_off(
    journal: SqliteJournal, tmp_path: Path, stages: Stages, after: str
) -> None:
    first = replace(stages.makes[Plan], then={"forgetting": ("warm",)})
    second = replace(first, strategy="warm", then={}, tried=(first.strategy,))
    passed = stages.makes[Validation]
    refusal = Finding("forgetting", Verdict.FAIL, "forgot")
    failed = replace(passed, verdict=Verdict.FAIL, findings=(refusal,))
    stages.makes |= {Plan: [first, second], Validation: [failed, passed]}
    stages.makes[Training] = [replace(stages.makes[Training], steps=n) for n in (1, 2)]
    with pytest.raises(Crash):
        runner(Dying(journal, after, 1 if after == "validation" else 2), tmp_path).run("u0001")
    state = runner(journal, tmp_path).run("u0001")
    filed = kinds(journal)
    assert {filed.count(kind) for kind in ("plan", "training", "bundle", "validation")} == {2}
    assert state.records[Plan].strategy == "warm"


def test_failed_validation_is_not_reopened_by_votes(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Validation] = replace(line.VALIDATION, verdict=Verdict.FAIL)
    line.file(journal, YES)
    assert runner(journal, tmp_path).run("u0001").state is State.REFUSED
    assert "approve" not in stages.ran


def test_run_does_not_run_a_stage_that_has_its_record(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Training] = Crash()
    with pytest.raises(Crash):
        runner(journal, tmp_path).run("u0001")
    stages.makes[Training] = line.TRAINING
    runner(journal, tmp_path).run("u0001")
    assert stages.ran.count("admit") == stages.ran.count("plan") == 1
    assert stages.ran.count("train") == 2
    assert len(set(kinds(journal))) == len(kinds(journal))


def test_scratch_of_a_stage_that_broke_is_there_when_it_runs_again(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Training] = Crash()
    with pytest.raises(Crash):
        runner(journal, tmp_path).run("u0001")
    (kept,) = (tmp_path / "scratch").iterdir()
    assert (kept / "half").exists()


def test_stage_that_two_runners_finish_is_recorded_once(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    first, second = runner(journal, tmp_path), runner(journal, tmp_path)
    before = first.update("u0001")
    first._once(pipeline.STAGES[0], before)
    stages.makes[type(line.ADMISSION)] = replace(line.ADMISSION, rows=7)
    second._once(pipeline.STAGES[0], before)
    assert kinds(journal) == ["request", "admission"]
    assert journal.entries(kind="admission")[0].body["rows"] == 300


@pytest.mark.parametrize("change", ["input", "section", "update", "nothing", "other section"])
def test_stage_key_names_all_that_goes_in_and_nothing_else(
    journal: SqliteJournal, tmp_path: Path, change: str
) -> None:
    train = next(stage for stage in pipeline.STAGES if stage.name == "train")
    inputs = {"request": line.REQUEST, "plan": line.PLAN}
    key = runner(journal, tmp_path)._key(train, inputs, "u0001")
    policy = {
        "section": replace(POLICY, train=TrainPolicy(lr=0.5)),
        "other section": replace(POLICY, approve=ApprovePolicy(people=3)),
    }.get(change, POLICY)
    if change == "input":
        inputs["request"] = replace(line.REQUEST, seed=1)
    other = runner(journal, tmp_path, policy=policy)
    again = other._key(train, inputs, "u0002" if change == "update" else "u0001")
    assert (again == key) is (change in ("nothing", "other section"))


# Attempts, and stores that are away.


def died(journal: SqliteJournal, folder: Path, stages: Stages, times: int) -> None:
    """Let the training kill its process, as far as the ledger can see, several times."""
    stages.makes[Training] = KeyboardInterrupt()  # nothing catches it, so nothing is noted
    for _ in range(times):
        with pytest.raises(KeyboardInterrupt):
            runner(journal, folder).run("u0001")


def test_stage_that_kills_its_process_again_and_again_is_given_up(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    died(journal, tmp_path, stages, 3)
    stages.makes[Training] = line.TRAINING
    with pytest.raises(Quarantined, match=r"none after 3 attempts.*without a word.*instar update"):
        runner(journal, tmp_path).run("u0001")
    assert stages.ran.count("train") == 3


def test_stage_that_was_killed_less_often_is_tried_again(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    died(journal, tmp_path, stages, 2)
    stages.makes[Training] = line.TRAINING
    assert runner(journal, tmp_path).run("u0001").state is State.WAITING


class Away(BackendError):
    code = "backend.away"
    retryable = True


def test_store_that_is_away_is_asked_again_after_a_growing_shaken_while(
    journal: SqliteJournal, tmp_path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    monkeypatch.setattr(pipeline.random, "uniform", uniform)
    stages.makes[Training] = Away("a store", "none", "wait")
    policy = replace(POLICY, run=RunPolicy(attempts=4, backoff_s=0.5))
    carrier = runner(journal, tmp_path, policy=policy)
    with pytest.raises(Away):
        carrier.run("u0001")
    assert asked == [(0, 0.5), (0, 1.0), (0, 2.0)]
    assert carrier.tools.clock.slept == [0.5, 1.0, 2.0]
    assert stages.ran.count("train") == 4
    assert carrier.update("u0001").state is State.RUNNING
    stages.makes[Training] = line.TRAINING
    assert runner(journal, tmp_path).run("u0001").state is State.WAITING


def test_stage_whose_store_never_comes_back_is_given_up_with_its_reason(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Training] = Away("a store", "no answer at all", "wait")
    for _ in range(3):
        with pytest.raises(Away):
            runner(journal, tmp_path).run("u0001")
    with pytest.raises(Quarantined, match="no answer at all"):
        runner(journal, tmp_path).run("u0001")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_stage_without_memory_says_so_with_its_peak(
    journal: SqliteJournal, tmp_path: Path, stages: Stages, error: Exception
) -> None:
    stages.makes[Training] = error
    with pytest.raises(OutOfMemory, match=r"[\d,]+ MB that it had at its peak; lower policy.train"):
        runner(journal, tmp_path).run("u0001")


def test_record_whose_reply_was_lost_is_adopted_and_not_made_again(
    journal: SqliteJournal, tmp_path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = SqliteJournal.append

    def lost(self: SqliteJournal, kind: str, *args: Any, **named: Any) -> Any:
        append(self, kind, *args, **named)
        if kind == "training":
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(SqliteJournal, "append", lost)
        with pytest.raises(Crash):
            runner(journal, tmp_path).run("u0001")
    before = runner(journal, tmp_path)
    train = next(stage for stage in pipeline.STAGES if stage.name == "train")
    without = replay(e for e in journal.entries(update="u0001") if e.kind != "training")
    before._once(train, without)
    assert stages.ran.count("train") == 1
    assert list((tmp_path / "scratch").iterdir()) == []


class Told:
    """A pulse that is told to stop at the n-th question."""

    def __init__(self, at: int) -> None:
        self.left = at

    def beat(self) -> None:
        pass

    def stopping(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_run_that_is_told_to_stop_ends_between_stages_and_goes_on(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stopped = runner(journal, tmp_path)
    stopped.tools = replace(stopped.tools, pulse=Told(2))
    with pytest.raises(Interrupted, match="before train"):
        stopped.run("u0001")
    assert stages.ran == ["admit", "plan"]
    assert runner(journal, tmp_path).run("u0001").state is State.WAITING


def test_interrupted_stage_is_noted_and_is_no_attempt(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    stages.makes[Training] = Interrupted("after step 7 of epoch 2")
    for _ in range(5):
        with pytest.raises(Interrupted):
            runner(journal, tmp_path).run("u0001")
    notes = [entry.body["reason"] for entry in journal.entries(kind="note")]
    assert notes == ["train was interrupted: the order to stop, after step 7 of epoch 2"] * 5
    stages.makes[Training] = line.TRAINING
    assert runner(journal, tmp_path).run("u0001").state is State.WAITING


# Versions of Instar, and clocks.


def test_update_begun_by_another_version_of_instar_is_finished(
    journal: SqliteJournal, tmp_path: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = {"cost", "replay", "replay_logits"}  # fields that the older version did not know
    older = {k: v for k, v in encode(line.TRAINING).items() if k not in newer}
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "__version__", "0.0.9")
        stages.makes[Training] = Crash()
        with pytest.raises(Crash):
            runner(journal, tmp_path).run("u0001")
    journal.append("training", older, update="u0001", model="demand", actor="worker")
    done = runner(journal, tmp_path).run("u0001")
    assert done.state is State.WAITING
    assert done.records[Training] == line.TRAINING
    assert stages.ran.count("admit") == stages.ran.count("plan") == stages.ran.count("train") == 1


def releasing(journal: SqliteJournal, folder: Path, at: float) -> Any:
    late = runner(journal, folder, traffic=gateway())
    late.tools = replace(late.tools, clock=FakeClock(at=at))
    return late.run("u0001", until="release")


def test_clock_that_went_back_is_noted_once_and_prolongs_no_approval(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    at = FakeClock().now()
    for _ in range(2):
        with pytest.raises(ApprovalVoid, match="a clock 3600 s behind the ledger"):
            releasing(approved, tmp_path, at - 3600)
    (note,) = approved.entries(kind="note")
    assert note.body["reason"] == "the clock stands 3600 s behind the ledger"
    assert runner(approved, tmp_path).update("u0001").state is State.WAITING
    # Somebody agrees under the clock as it is now.
    WRITTEN[0] = at - 3600
    line.file(approved, line.vote(VoteKind.APPROVE, "carol", at=at - 3600))
    back = runner(approved, tmp_path)
    back.tools = replace(back.tools, clock=FakeClock(at=at - 3600))
    back.run("u0001")
    assert releasing(approved, tmp_path, at - 3600).state is State.PROMOTED


def test_approval_that_expired_by_what_the_ledger_saw_is_void_and_ends_nothing(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    with pytest.raises(ApprovalVoid, match="expired"):
        releasing(approved, tmp_path, FakeClock().now() + 73 * 3600)
    assert runner(approved, tmp_path).update("u0001").state is State.WAITING


@pytest.mark.parametrize("jump", [86_400.0, 20 * 365 * 86_400.0], ids=["a day", "past 2038"])
def test_jump_of_the_clock_cuts_no_hold_short(
    approved: SqliteJournal, tmp_path: Path, jump: float
) -> None:
    done = runner(approved, tmp_path, traffic=gateway())
    clock = done.tools.clock
    assert isinstance(clock, FakeClock)
    assert done.run("u0001", until="release").state is State.PROMOTED
    for at in (clock.at + jump, clock.at - 3600):
        clock.at = at
        assert [e.body["name"] for e in approved.held(clock.boot())] == [line.OLD]
    clock.sleep(POLICY.release.hold_s)
    assert approved.held(clock.boot()) == []


def test_later_vote_renews_an_approval(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    line.file(journal, YES)
    runner(journal, tmp_path).run("u0001")
    runner(journal, tmp_path).run("u0001")
    assert kinds(journal).count("approval") == 1
    line.file(journal, line.vote(VoteKind.APPROVE, "carol", at=FakeClock().now() + 9))
    runner(journal, tmp_path).run("u0001")
    assert kinds(journal).count("approval") == 2


def test_write_of_a_runner_that_lost_its_lease_is_refused(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    epoch = journal.acquire("demand", "first", 1.0, 0.0)
    late = runner(journal, tmp_path)
    late.epoch = epoch
    journal.acquire("demand", "second", 1.0, 10.0)
    with pytest.raises(LostLease):
        late.run("u0001")
    assert kinds(journal) == ["request"]


# Release and promotion.


def release(journal: SqliteJournal, folder: Path, traffic: FakeTraffic) -> Any:
    return runner(journal, folder, traffic=traffic).run("u0001", until="release")


@pytest.fixture
def approved(journal: SqliteJournal, tmp_path: Path, stages: Stages) -> SqliteJournal:
    line.file(journal, YES)
    runner(journal, tmp_path).run("u0001")
    return journal


def test_release_promotes_once_and_files_moves_only(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    traffic = gateway()
    assert release(approved, tmp_path, traffic).state is State.PROMOTED
    assert release(approved, tmp_path, traffic).state is State.PROMOTED
    (promotion,) = approved.entries(update="u0001", kind="promotion")
    assert (promotion.body["name"], promotion.body["parent"]) == (line.NEW, line.OLD)
    assert traffic.route().shares == {line.NEW: 1.0}
    phases = [entry.body["phase"] for entry in approved.entries(kind="release")]
    # The step as it began, and once more as it could not tell yet; looks in between are not filed.
    assert phases == ["step", "step", "promoting", "promoted"]


def test_release_does_not_begin_before_people_agree(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    traffic = gateway()
    assert release(journal, tmp_path, traffic).verdict is Verdict.INCONCLUSIVE
    assert "release" not in kinds(journal)
    assert len(traffic.moves) == 1


def test_promotion_is_recorded_before_all_traffic_moves(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    seen: list[str] = []

    class Watching(Busy):
        def move(self, route: Route) -> float:
            if route.shares == {line.NEW: 1.0}:
                seen.append(approved.champion("demand").body["name"])
            return super().move(route)

    release(approved, tmp_path, Watching(gateway().route(), gateway()._behave))
    assert seen == [line.NEW]


@pytest.mark.parametrize("at", ["before promotion", "before traffic", "before the record"])
def test_promotion_survives_a_crash(
    approved: SqliteJournal, tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = gateway()
    move, append = FakeTraffic.move, SqliteJournal.append

    def dies(*args: Any, **named: Any) -> Any:
        raise Crash

    def no_move(self: FakeTraffic, route: Route) -> float:
        return dies() if route.shares == {line.NEW: 1.0} else move(self, route)

    def no_record(self: SqliteJournal, kind: str, body: Any, **named: Any) -> Any:
        ends = body.get("phase") == Phase.PROMOTED.value
        return dies() if ends else append(self, kind, body, **named)

    places: Mapping[str, tuple[type, str, Any]] = {
        "before promotion": (SqliteJournal, "promote", dies),
        "before traffic": (FakeTraffic, "move", no_move),
        "before the record": (SqliteJournal, "append", no_record),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[at])
        with pytest.raises(Crash):
            release(approved, tmp_path, traffic)
    assert runner(approved, tmp_path).update("u0001").state is State.RELEASING
    assert release(approved, tmp_path, traffic).state is State.PROMOTED
    assert kinds(approved).count("promotion") == 1
    assert traffic.route().shares == {line.NEW: 1.0}
    assert approved.verify() == []


def test_release_rolls_back_a_candidate_that_fails_live(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    traffic = gateway()
    traffic._behave[line.NEW] = Behaviour(errors=0.5)
    assert release(approved, tmp_path, traffic).state is State.ROLLED_BACK
    assert approved.champion("demand").body["name"] == line.OLD
    assert traffic.route().shares == {line.OLD: 1.0}


def test_release_against_another_champion_is_refused_and_moves_nothing(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    line.crown(approved, line.model(line.ZERO), "rollback")
    traffic = gateway()
    with pytest.raises(Overtaken, match=line.ZERO):
        release(approved, tmp_path, traffic)
    assert len(traffic.moves) == 1
    assert "release" not in kinds(approved)


def test_promotion_over_another_champion_is_refused(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    line.file(approved, line.moving(Phase.PROMOTING, 0.5))
    line.crown(approved, line.model(line.ZERO), "rollback")
    with pytest.raises(Overtaken):
        release(approved, tmp_path, gateway())
    assert approved.champion("demand").body["name"] == line.ZERO
    assert "promotion" not in kinds(approved)


def test_rollback_between_promotion_and_traffic_is_not_undone(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    line.file(approved, line.moving(Phase.PROMOTING, 0.5))
    line.crown(approved, replace(line.model(line.NEW, line.OLD), update="u0001"))
    line.crown(approved, line.model(line.OLD, line.ZERO), "rollback")
    traffic = gateway()
    with pytest.raises(Overtaken):
        release(approved, tmp_path, traffic)
    assert len(traffic.moves) == 1


def test_release_ends_when_somebody_withdraws_it(approved: SqliteJournal, tmp_path: Path) -> None:
    class Withdrawn(Busy):
        def served(self, since_generation: int = 0) -> Mapping[str, Any]:
            approved.append(
                "withdrawn", {"reason": "no"}, update="u0001", model="demand", actor="bob"
            )
            return super().served(since_generation)

    done = release(approved, tmp_path, Withdrawn(gateway().route(), gateway()._behave))
    assert done.state is State.WITHDRAWN
    assert approved.champion("demand").body["name"] == line.OLD


def test_approval_of_a_release_that_was_rolled_back_is_spent(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    bad = gateway()
    bad._behave[line.NEW] = Behaviour(errors=0.5)
    assert release(approved, tmp_path, bad).state is State.ROLLED_BACK
    again = gateway()
    assert release(approved, tmp_path, again).state is State.ROLLED_BACK
    assert len(again.moves) == 1
    assert "promotion" not in kinds(approved)


def test_approval_of_a_promotion_that_a_person_took_back_is_spent(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    release(approved, tmp_path, gateway())
    line.crown(approved, replace(line.model(line.OLD, line.ZERO), update="u0001"), "rollback")
    again = gateway()
    assert release(approved, tmp_path, again).state is State.ROLLED_BACK
    assert len(again.moves) == 1
    assert kinds(approved).count("promotion") == 1


def test_release_without_a_gateway_is_refused(approved: SqliteJournal, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="gateway"):
        runner(approved, tmp_path).run("u0001", until="release")


def test_stages_are_filed_under_the_records_they_make() -> None:
    made = {stage.name: (stage.makes, stage.kind) for stage in pipeline.STAGES}
    assert made["package"] == (Bundle, "bundle")
    assert made["train"] == (Training, "training")


# What made a record.


def test_release_and_promotion_say_what_they_are_made_of(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    release(approved, tmp_path, gateway())
    found = approved.entries(update="u0001")
    bodies = {entry.kind: digest_json(entry.body) for entry in found}
    moves = [entry for entry in found if entry.kind == "release"]
    last = [digest_json(None), *(digest_json(entry.body) for entry in moves)]
    for entry, before in zip(moves, last, strict=False):
        assert entry.work is not None
        assert entry.work["inputs"]["last"] == before
        assert entry.work["inputs"]["approval"] == bodies["approval"]
    (promotion,) = approved.entries(kind="promotion", update="u0001")
    assert promotion.work is not None
    assert promotion.work["output"] == digest_json(promotion.body)
    for name in ("request", "admission", "training", "bundle", "validation"):
        assert promotion.work["inputs"][name] == bodies[name]


def test_votes_that_a_stage_saw_are_its_inputs(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    line.file(journal, YES)
    runner(journal, tmp_path).run("u0001")
    votes = [entry.body for entry in journal.entries(kind="vote")]
    (approval,) = journal.entries(kind="approval")
    assert approval.work is not None
    assert approval.work["inputs"]["votes"] == digest_json(votes)


def test_owner_of_a_stage_is_who_the_policy_names(
    journal: SqliteJournal, tmp_path: Path, stages: Stages
) -> None:
    policy = replace(POLICY, run=RunPolicy(owners={"train": "dora"}))
    runner(journal, tmp_path, policy=policy).run("u0001")
    owners = {e.kind: e.work["owner"] for e in journal.entries(update="u0001") if e.work}
    assert (journal.people()[owners["training"]], owners["plan"]) == ("dora", "alice")


@pytest.mark.parametrize("now", ["x = 2", None], ids=["changed", "gone"])
def test_network_that_is_another_by_now_is_not_run(
    journal: SqliteJournal, tmp_path: Path, stages: Stages, now: str | None
) -> None:
    first = runner(journal, tmp_path)
    file = first.tools.project / "nets.py"
    file.write_text("x = 1")
    network = Network(build="nets:build", source=digest_bytes(b"x = 1"))
    asked = replace(line.REQUEST, update="u0002", network=network)
    journal.append("request", encode(asked), update="u0002", model="demand", actor="alice")
    stages.makes[Training] = Crash()
    with pytest.raises(Crash):
        first.run("u0002")
    stages.makes[Training] = line.TRAINING
    file.unlink() if now is None else file.write_text(now)
    with pytest.raises(NetworkChanged, match="instar resume u0002"):
        first.run("u0002")
    assert stages.ran.count("train") == 1
    file.write_text("x = 1")
    assert first.run("u0002").state is State.WAITING


def test_candidate_that_lost_its_signature_is_not_promoted(
    approved: SqliteJournal, tmp_path: Path
) -> None:
    line.file(approved, line.moving(Phase.PROMOTING, 0.5))
    carrier = runner(approved, tmp_path, traffic=gateway())
    carrier.tools = replace(carrier.tools, signer=FakeSigner(5))
    with pytest.raises(IntegrityError):
        carrier.run("u0001", until="release")
    assert approved.champion("demand").body["name"] == line.OLD
    assert "promotion" not in kinds(approved)
