"""The runner on a real ledger: stages that are made up, an approval and a release that are real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar import pipeline
from instar.core.errors import BackendError
from instar.core.finding import Verdict
from instar.core.policy import ApprovePolicy, Policy, ReleasePolicy, StepRule, TrainPolicy
from instar.core.records import Bundle, Phase, Plan, Training, Validation, VoteKind
from instar.core.tools import Route, Tools
from instar.core.update import State
from instar.ledger.journal import LostLease, SqliteJournal
from instar.pipeline import Overtaken, Runner
from instar.testing.tools import FakeClock, fake_tools
from instar.testing.traffic import Behaviour, FakeTraffic
from tests.service import line

STEPS = (StepRule(share=0.5, requests=40),)
POLICY = Policy(release=ReleasePolicy(steps=STEPS, tick_s=0.01))
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
        def run(*, policy: Any, tools: Tools, **inputs: Any) -> Any:
            self.ran.append(stage.name)
            self.got[stage.name] = inputs
            if stage.makes not in self.makes:
                return stage.run(**inputs, policy=policy, tools=tools)
            (tools.scratch / "half").touch()
            made = self.makes[stage.makes]
            if isinstance(made, Exception):
                raise made
            return made

        return replace(stage, run=run)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    return Stages(monkeypatch)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = line.lay_out(tmp_path, line.REQUEST)
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


def test_release_without_a_gateway_is_refused(approved: SqliteJournal, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="gateway"):
        runner(approved, tmp_path).run("u0001", until="release")


def test_stages_are_filed_under_the_records_they_make() -> None:
    made = {stage.name: (stage.makes, stage.kind) for stage in pipeline.STAGES}
    assert made["package"] == (Bundle, "bundle")
    assert made["train"] == (Training, "training")
