"""The working side: its lease, what it records when a stage breaks, what it refuses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar import pipeline, worker
from instar.core.codec import encode
from instar.core.digest import canonical, digest_bytes
from instar.core.errors import BackendError, InputError, Interrupted
from instar.core.policy import Policy
from instar.core.records import Network, Phase, Training, Watch
from instar.core.tools import Route
from instar.core.update import State, replay
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import Busy, LostLease, SqliteJournal
from instar.policy import read
from instar.serving.client import GatewaySilent
from instar.testing.tools import FakeClock, fake_tools
from instar.worker import Work
from tests.service import line

HOST = socket.gethostname()


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Work]:
    policy = DirectoryArtifacts(tmp_path / ".instar" / "artifacts").put(canonical(encode(Policy())))
    line.lay_out(tmp_path, replace(line.REQUEST, policy=policy)).close()
    made = over(tmp_path)
    yield made
    made.journal.close()


def over(folder: Path, by: str = "alice") -> Work:
    project = read(folder / "instar.yaml", overrides={})
    artifacts = DirectoryArtifacts(folder / ".instar" / "artifacts")
    clock = FakeClock(at=time.time() + 3600)  # never behind the dates that the ledger writes
    tools = replace(fake_tools(folder), artifacts=artifacts, clock=clock)
    return Work(folder, project, tools, by)


def dead() -> str:
    """Name a process of this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{HOST}:{process.pid}"


def test_lease_of_a_dead_holder_is_taken_at_once_and_fences_it_off(work: Work) -> None:
    clock = work.tools.clock
    old = work.journal.acquire("demand", dead(), 3.0, clock.now())
    with work.lease() as epoch:
        assert epoch == old + 1
        with pytest.raises(LostLease):
            line.file(work.journal, line.ADMISSION, epoch=old)
    assert clock.slept == []


@pytest.mark.parametrize("holder", [f"{HOST}:{os.getppid()}", "elsewhere:1", "a person"])
def test_lease_of_a_live_or_unknown_holder_is_respected(work: Work, holder: str) -> None:
    work.journal.acquire("demand", holder, 3.0, work.tools.clock.now())
    with pytest.raises(Busy, match=holder), work.lease():
        pass
    assert work.tools.clock.slept == []


def test_lease_is_given_back_when_the_work_breaks(work: Work) -> None:
    held: list[str | None] = []

    def breaks() -> None:
        with work.lease():
            held.append(work.journal.holder("demand", work.tools.clock.now()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert held == [f"{HOST}:{os.getpid()}"]
    assert work.journal.holder("demand", work.tools.clock.now()) is None


def test_lease_is_renewed_while_the_work_goes_on(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.work, "LEASE_S", 0.03)
    renewed: list[int] = []

    def renew(self: SqliteJournal, model: str, holder: str, epoch: int, *_: float) -> None:
        renewed.append(epoch)
        raise BackendError("a free ledger", "a busy one", "try again")  # must not end the renewing

    monkeypatch.setattr(SqliteJournal, "renew", renew)
    with work.lease():
        until = time.monotonic() + 10
        while len(renewed) < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert len(renewed) >= 3


@pytest.mark.parametrize(
    "records", [(), (line.ADMISSION,), line.MADE, (*line.MADE, line.approval())]
)
def test_second_update_is_refused_while_one_is_open(work: Work, records: tuple[Any, ...]) -> None:
    line.file(work.journal, *records)
    before = len(work.journal.entries())
    with pytest.raises(worker.UpdateRunning, match="u0001"):
        worker.update(work, source="nothing.parquet", reason="again", seed=0)
    assert len(work.journal.entries()) == before


def asking(work: Work, monkeypatch: pytest.MonkeyPatch, meanwhile: Any) -> None:
    """End the open update, and have something happen while the data of the next are read."""
    line.file(work.journal, replace(line.ADMISSION, verdict=line.Verdict.FAIL))
    champion = work.champion()

    def ask(*_: Any) -> worker.intake.Asked:
        meanwhile(work.journal)
        fresh = line.snapshot("fresh")
        return worker.intake.Asked(fresh, line.TASK, champion.network, ("x", "shop"))

    monkeypatch.setattr(worker.intake, "ask", ask)


def test_update_that_opens_while_data_are_read_is_seen(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(journal: SqliteJournal) -> None:
        request = replace(line.REQUEST, update="u0002")
        journal.append("request", encode(request), update="u0002", model="demand", actor="eve")

    asking(work, monkeypatch, another)
    with pytest.raises(worker.UpdateRunning, match="u0002"):
        worker.update(work, source="fresh.parquet", reason="again", seed=0)
    assert len(work.journal.entries(kind="request")) == 2


def test_champion_that_changes_while_data_are_read_is_seen(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking(work, monkeypatch, lambda journal: line.crown(journal, line.model(line.ZERO)))
    with pytest.raises(worker.ChampionChanged, match=line.OLD):
        worker.update(work, source="fresh.parquet", reason="again", seed=0)
    assert len(work.journal.entries(kind="request")) == 1


def test_update_without_a_champion_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "instar.yaml").write_text(line.YAML)
    with pytest.raises(worker.NoChampion, match="instar adopt"):
        worker.update(over(tmp_path), source="fresh.parquet", reason="first", seed=0)
    assert not (tmp_path / ".instar").exists()


def test_second_adoption_is_refused(work: Work) -> None:
    with pytest.raises(worker.AlreadyAdopted, match=line.OLD):
        worker.adopt(work, weights="", train="", holdout="", preprocessing=None, seed=0)


def broken(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let every stage return its made-up record, but the training break."""
    made = {type(record): record for record in line.MADE}

    def fake(stage: pipeline.Stage) -> pipeline.Stage:
        def run(**_: Any) -> Any:
            if stage.makes is Training:
                raise error
            return made[stage.makes]

        return replace(stage, run=run)

    monkeypatch.setattr(pipeline, "STAGES", tuple(map(fake, pipeline.STAGES)))


def test_network_that_changed_stops_an_update_and_does_not_end_it(work: Work) -> None:
    network = Network(build="nets:build", source=digest_bytes(b"x = 1"))
    policy = work.journal.entries(kind="request")[0].body["policy"]
    asked = replace(line.REQUEST, update="u0002", network=network, policy=policy)
    work.journal.append("request", encode(asked), update="u0002", model="demand", actor="alice")
    (work.tools.project / "nets.py").write_text("x = 2")
    with pytest.raises(pipeline.NetworkChanged, match="restore the file"):
        worker.resume(work, update="u0002")
    assert [entry.kind for entry in work.journal.entries(update="u0002")] == ["request"]


def test_stage_that_breaks_is_recorded_with_its_reason(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, ValueError("no such layer"))
    before = work.journal.champion("demand")
    with pytest.raises(worker.StageFailed, match="no such layer"):
        worker.resume(work, update="u0001")
    last = work.journal.entries(update="u0001")[-1]
    assert last.kind == "failed"
    assert last.body["reason"] == "ValueError: no such layer"
    assert replay(work.journal.entries(update="u0001")).state is State.FAILED
    assert work.journal.champion("demand") == before
    assert work.journal.holder("demand", work.tools.clock.now()) is None


def test_reason_in_the_ledger_names_no_place_and_the_log_tells_it(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, OSError(5, "Input/output error", "/srv/canary/model.onnx"))
    with pytest.raises(worker.StageFailed) as caught:
        worker.resume(work, update="u0001")
    said = [str(caught.value), str(work.journal.entries(update="u0001")[-1].body)]
    assert all("model.onnx" in text and "canary" not in text for text in said)
    log = work.home / "logs" / "failures.log"
    assert "/srv/canary/model.onnx" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


def test_stage_that_refuses_its_input_is_recorded_under_its_code(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, InputError("a network", "none", "write one"))
    with pytest.raises(InputError, match="write one"):
        worker.resume(work, update="u0001")
    assert work.journal.entries(update="u0001")[-1].body["code"] == "input"


def test_stage_that_broke_in_the_projects_own_code_names_the_line(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = compile(
        "def build():\n    raise ValueError('no such layer')", work.root / "nets.py", "exec"
    )
    names: dict[str, Any] = {}
    exec(code, names)
    made = pipeline.STAGES

    def fake(stage: pipeline.Stage) -> pipeline.Stage:
        return replace(stage, run=lambda **_: names["build"]())

    monkeypatch.setattr(pipeline, "STAGES", tuple(map(fake, made)))
    with pytest.raises(worker.OwnCode, match=r"nets.py, line 2.*no such layer"):
        worker.resume(work, update="u0001")
    assert replay(work.journal.entries(update="u0001")).state is State.FAILED


def test_stage_without_memory_ends_the_update_with_advice(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, MemoryError())
    with pytest.raises(pipeline.OutOfMemory):
        worker.resume(work, update="u0001")
    last = work.journal.entries(update="u0001")[-1]
    assert last.body["code"] == "update.out_of_memory"
    assert "lower policy.train.batch" in last.body["reason"]


def test_stage_that_never_leaves_a_record_ends_the_update_in_quarantine(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, KeyboardInterrupt())  # nothing catches it, as nothing catches a kill
    before = work.journal.champion("demand")
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            worker.resume(work, update="u0001")
    with pytest.raises(pipeline.Quarantined):
        worker.resume(work, update="u0001")
    last = work.journal.entries(update="u0001")[-1]
    assert (last.kind, last.body["code"]) == ("failed", "update.quarantined")
    assert work.journal.champion("demand") == before
    worker.resume(work, update="u0001")  # an end is an end
    assert work.journal.entries(update="u0001")[-1] == last


def test_worker_that_is_told_to_stop_says_where_it_stands(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, Interrupted("after step 7 of epoch 2"))
    done = worker.resume(work, update="u0001")
    assert done["interrupted"] == "the order to stop, after step 7 of epoch 2"
    assert replay(work.journal.entries(update="u0001")).state is State.RUNNING


def test_policy_that_changes_on_the_way_holds_for_the_next_update_only(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float | None] = []
    made = {type(record): record for record in line.MADE}

    def fake(stage: pipeline.Stage) -> pipeline.Stage:
        def run(*, policy: Any, **_: Any) -> Any:
            if stage.makes is Training:
                seen.append(policy.lr)
            return made[stage.makes]

        return stage if stage.name == "approve" else replace(stage, run=run)

    monkeypatch.setattr(pipeline, "STAGES", tuple(map(fake, pipeline.STAGES)))
    (work.root / "instar.yaml").write_text(line.YAML + "policy: {train: {lr: 0.5}}\n")
    later = over(work.root)
    assert later.project.policy.train.lr == 0.5
    worker.resume(later, update="u0001")
    later.journal.close()
    assert seen == [None]


def test_release_that_breaks_sends_its_traffic_home_before_the_update_fails(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.file(work.journal, *line.MADE, line.approval(), line.moving(Phase.STEP, 0.25))
    names = {line.OLD: 0.75, line.NEW: 0.25}
    manifests = {name: line.digest(name) for name in names}
    worker.gateway(work).put(Route("demand", 7, names, manifests, line.OLD))

    def breaks(**_: Any) -> Any:
        raise ValueError("no such gate")

    stages = [
        replace(stage, run=breaks) if stage.name == "release" else stage
        for stage in pipeline.STAGES
    ]
    monkeypatch.setattr(pipeline, "STAGES", tuple(stages))
    monkeypatch.setattr(worker.GatewayTraffic, "status", lambda _: {"generation": 99})
    with pytest.raises(worker.StageFailed):
        worker.release(work, update="u0001")
    assert worker.gateway(work).route().shares == {line.OLD: 1.0}
    assert replay(work.journal.entries(update="u0001")).state is State.FAILED


def test_adoption_that_died_before_its_route_is_finished_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "instar.yaml").write_text(line.YAML)
    monkeypatch.setattr(worker.intake, "adopt", lambda *_, **__: line.model(line.OLD))
    given = {"weights": "", "train": "", "holdout": "", "preprocessing": None, "seed": 0}

    def dies(_: Work) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(worker, "settled", dies)
        with pytest.raises(KeyboardInterrupt):
            worker.adopt(over(tmp_path), **given)
    again = over(tmp_path)
    assert worker.adopt(again, **given)["champion"] == line.OLD
    assert worker.gateway(again).route().shares == {line.OLD: 1.0}
    assert len(again.journal.entries(kind="adoption")) == 1
    with pytest.raises(worker.AlreadyAdopted):
        worker.adopt(again, **given)
    again.journal.close()


def test_store_that_is_away_ends_nothing(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, BackendError("a store", "none", "wait"))
    with pytest.raises(BackendError):
        worker.resume(work, update="u0001")
    state = replay(work.journal.entries(update="u0001"))
    assert (state.state, state.failure) == (State.RUNNING, "")


def test_names_of_versions_count_those_never_promoted(work: Work) -> None:
    line.file(work.journal, line.BUNDLE)
    assert set(worker.version_names(work)) == {line.ZERO, line.NEW}


def test_watch_is_recorded_and_judged_from_the_last_one(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Watch | None] = []

    def watch(champion: Any, last: Watch | None, **_: Any) -> Watch:
        seen.append(last)
        return Watch(line.PASS, (line.finding("accuracy"),), 100 + len(seen))

    monkeypatch.setattr(worker, "watch", watch)
    monkeypatch.setattr(worker.GatewayTraffic, "status", lambda _: {})
    worker.look(work)
    worker.look(work)
    assert [last and last.window for last in seen] == [None, 101]
    assert len(work.journal.entries(kind="watch")) == 2


# The process itself.


def told(folder: Path, task: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    out = folder / "out.jsonl"
    order = {"root": str(folder), "by": "alice", "set": {}, "out": str(out), **task}
    done = subprocess.run(
        [sys.executable, "-m", "instar.worker"],
        input=json.dumps(order).encode(),
        capture_output=True,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in out.read_text().splitlines()]


def test_process_reports_a_mistake_as_its_last_line_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "instar.yaml").write_text(line.YAML)
    args = {"source": "nothing.parquet", "reason": "weekly", "seed": 0}
    status, lines = told(tmp_path, {"do": "update", "args": args})
    assert status == 0
    assert lines[-1]["error"]["code"] == "update.no_champion"
    assert lines[-1]["error"]["family"] == "input"
    assert not (tmp_path / ".instar").exists()


def test_watch_without_a_gateway_is_an_error_and_no_record(work: Work) -> None:
    with pytest.raises(GatewaySilent):
        worker.look(work)
    assert work.journal.entries(kind="watch") == []


def test_rates_come_from_the_policy_of_the_update() -> None:
    plan = replace(Policy().plan, cost_per_cpu_hour=0.1, cost_per_gpu_hour=3.0)
    run = replace(Policy().run, watts_per_core=7.0)
    found = worker.rates(replace(Policy(), plan=plan, run=run))
    assert (found.cpu_hour, found.gpu_hour, found.watts_per_core) == (0.1, 3.0, 7.0)
