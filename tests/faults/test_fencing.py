"""Real workers that sleep, hang, die or are told to stop; only their stages are made up."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.core.codec import encode
from instar.core.digest import canonical
from instar.core.policy import Policy, ReleasePolicy, StepRule
from instar.core.records import Phase
from instar.core.tools import Route
from instar.core.update import State
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import SqliteJournal
from instar.serving import routefile
from tests.service import line

# The worker as it is, with a short lease, before a gateway that always follows the route and has
# seen as many requests as a file says. A stage leaves a line in a file whenever it is run. The
# libraries are loaded once; each worker is forked off, and is a process of its own all the same.
FORGE = """\
# warm
import io, json, os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from instar import pipeline
from instar.core.errors import Interrupted
from instar.core.tools import Labelled, Served, Stretch
from instar.ledger.journal import SqliteJournal
from instar.serving.client import GatewayTraffic
from instar.worker import process, work
from tests.service import line

folder, how = Path(), ""
work.LEASE_S = 0.6

def served(self, since_generation=0):
    route, n = self.route(), int((folder / "requests").read_text())
    return {name: Served(name, n, 0, 0, {"p99": 1.0}, ((1.0, n),),
                         (Stretch(route.generation, route.shares.get(name, 0.0), n, 0),))
            for name in (line.OLD, line.NEW)}

GatewayTraffic.status = lambda self: {"generation": self.route().generation, "refused": None,
                                      "age_s": 1e9}
GatewayTraffic.served = served
GatewayTraffic.labelled = lambda self, version, since_generation=0: Labelled(version, [], [])
GatewayTraffic.scores = lambda self, version, since_generation=0: []
made = {type(record): record for record in line.MADE}

def fake(stage):
    def run(*, tools, **_):
        with (folder / "ran").open("a") as file:
            file.write(stage.name + "\\n")
        if stage.name == "train":
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "hangs":
                time.sleep(600)
            if how == "slow":
                time.sleep(1.5)
            while how == "steps":
                tools.pulse.beat()
                time.sleep(0.01)
                if tools.pulse.stopping():
                    raise Interrupted("after step 7 of epoch 2")
        return made[stage.makes]
    return replace(stage, run=run) if stage.makes in made else stage

pipeline.STAGES = tuple(map(fake, pipeline.STAGES))

for order in sys.stdin:
    order = json.loads(order)
    if "wait" in order:
        status = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        print(status, flush=True)
        continue
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    os.setsid()
    folder, how = Path(order["root"]), order["how"]
    if how == "hangs":  # a lease that is renewed five times a second would look like work
        work.LEASE_S = 15.0
    if how == "blind":  # nobody tells it that its lease is lost: only what it writes to can
        SqliteJournal.renew = lambda *_: None
    sys.stdin = io.StringIO(json.dumps(order))
    process.main()
    os._exit(0)
"""
STEPS = (StepRule(share=0.25, requests=100), StepRule(share=0.5, requests=1_000))
LIMIT_S = 100.0  # for what is awaited; nothing is measured


class Forge:
    """Make workers."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORGE], stdin=pipe, stdout=pipe, text=True
        )
        self.alive: set[int] = set()

    def close(self) -> None:
        for pid in self.alive:
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def ask(self, **order: Any) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


class Worker:
    """One worker process at a task."""

    def __init__(
        self, forge: Forge, folder: Path, task: str, how: str = "usual", **settings: str
    ) -> None:
        self.out, self.forge = folder / f"out-{time.monotonic_ns()}.jsonl", forge
        about = {"do": task, "root": str(folder), "by": "alice", "args": {"update": "u0001"}}
        self.pid = forge.ask(how=how, set=settings, out=str(self.out), **about)
        forge.alive.add(self.pid)
        self.status: int | None = None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self) -> dict[str, Any]:
        """Wait for the end and return the last line of the report; empty where there is none."""
        self.status = self.forge.ask(wait=self.pid)
        self.forge.alive.discard(self.pid)
        lines = self.out.read_text().splitlines() if self.out.exists() else []
        said = json.loads(lines[-1]) if lines else {}
        return said if said.keys() & {"result", "error"} else {}


Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge()
    yield made
    made.close()


@pytest.fixture
def start(forge: Forge, folder: Path) -> Start:
    return functools.partial(Worker, forge, folder)


def until(seen: Callable[[], Any]) -> Any:
    end = time.monotonic() + LIMIT_S
    while not (found := seen()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    policy = Policy(release=ReleasePolicy(steps=STEPS, tick_s=0.02))
    digest = DirectoryArtifacts(tmp_path / ".instar" / "artifacts").put(canonical(encode(policy)))
    line.lay_out(tmp_path, replace(line.REQUEST, policy=digest)).close()
    (tmp_path / "requests").write_text("0")
    (tmp_path / "ran").touch()
    return tmp_path


@contextmanager
def ledger(folder: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal(folder / ".instar" / "ledger.db")
    try:
        yield journal
    finally:
        journal.close()


def approved(folder: Path) -> None:
    with ledger(folder) as journal:
        policy = journal.entries(kind="request")[0].body["policy"]
        line.file(journal, *line.MADE, replace(line.approval(), policy=policy))
    first = Route("demand", 1, {line.OLD: 1.0}, {line.OLD: line.digest(line.OLD)}, line.OLD)
    routefile.write(folder / ".instar", first)


def route(folder: Path) -> Route:
    found = routefile.read(folder / ".instar")
    assert found
    return found


def share(folder: Path) -> float:
    return route(folder).shares.get(line.NEW, 0.0)


def written(folder: Path, epoch: int) -> list[int]:
    with ledger(folder) as journal:
        return [entry.seq for entry in journal.entries() if entry.epoch == epoch]


@pytest.mark.parametrize("how", ["usual", "blind"])
def test_release_that_slept_through_its_lease_has_no_effect_when_it_wakes(
    start: Start, folder: Path, how: str
) -> None:
    approved(folder)
    sleeper = start("release", how)
    until(lambda: share(folder) == 0.25)
    until(lambda: len(written(folder, 1)) >= 1)
    until(lambda: stopped(sleeper, folder))
    until(lambda: runs_out(folder))
    second = start("release")
    until(lambda: route(folder).epoch == 2)
    left = written(folder, 1)
    (folder / "requests").write_text("200")
    until(lambda: share(folder) == 0.5)
    # When it wakes it sees more than enough requests to move on, as it last stood.
    before = route(folder)
    sleeper.send(signal.SIGCONT)
    error = sleeper.ended()["error"]
    assert error["code"] in ("backend.lost_lease", "backend.fenced_route")
    assert "a lost lease, epoch 2" in error["parts"][1]
    assert route(folder) == before
    assert written(folder, 1) == left
    # A person ends the other one, which ends by itself.
    done = line.space(folder).abort("u0001", reason="enough")
    assert done.state is State.WITHDRAWN
    said = second.ended()  # it looks at the record, or is refused: whichever comes first
    assert "result" in said or "a lost lease, epoch 3" in said["error"]["parts"][1]
    assert (route(folder).shares, route(folder).epoch) == ({line.OLD: 1.0}, 3)
    with ledger(folder) as journal:
        assert journal.champion("demand").body["name"] == line.OLD
        assert journal.verify() == []


def stopped(worker: Worker, folder: Path) -> bool:
    """Stop a worker, unless it holds a lock of the database just then: everybody would wait."""
    worker.send(signal.SIGSTOP)
    place = folder / ".instar" / "ledger.db"
    with contextlib.closing(sqlite3.connect(place, timeout=0.2, isolation_level=None)) as database:
        try:
            database.execute("BEGIN EXCLUSIVE")
            database.execute("ROLLBACK")
        except sqlite3.OperationalError:
            worker.send(signal.SIGCONT)
            return False
    return True


def runs_out(folder: Path) -> bool:
    with ledger(folder) as journal:
        return journal.holder("demand", time.time()) is None


def test_release_that_is_killed_in_promoting_is_finished_by_the_next_one(
    start: Start, folder: Path
) -> None:
    approved(folder)
    with ledger(folder) as journal:
        line.file(journal, line.moving(Phase.PROMOTING, 0.5))
        made = replace(line.model(line.NEW, line.OLD), update="u0001")
        line.crown(journal, made)  # and there it was killed
    assert line.space(folder).status()["traffic"]["next"] == "instar release u0001"
    assert "result" in start("release").ended()
    assert (route(folder).shares, route(folder).warm) == ({line.NEW: 1.0}, (line.OLD,))
    assert line.space(folder).state("u0001").state is State.PROMOTED


def test_two_workers_at_once_run_no_stage_twice(start: Start, folder: Path) -> None:
    both = [start("resume", "slow") for _ in range(2)]
    said = [worker.ended() for worker in both]
    assert [line for line in (folder / "ran").read_text().split() if line == "train"] == ["train"]
    ran = (folder / "ran").read_text().split()
    assert ran == ["admit", "plan", "train", "package", "validate"]
    refused = [s["error"]["code"] for s in said if "error" in s]
    assert refused in ([], ["input.busy"])  # none, if one was through before the other came
    with ledger(folder) as journal:
        kinds = [entry.kind for entry in journal.entries(update="u0001")]
    assert kinds[:6] == ["request", "admission", "plan", "training", "bundle", "validation"]
    assert kinds[6:] in (["approval"], ["approval", "approval"])


def test_stage_that_kills_its_worker_is_given_up_after_three_attempts(
    start: Start, folder: Path
) -> None:
    for _ in range(3):
        assert start("resume", "killed").ended() == {}
    error = start("resume", "killed").ended()["error"]
    assert error["code"] == "update.quarantined"
    assert (folder / "ran").read_text().split().count("train") == 3
    done = line.space(folder).outcome("u0001")
    assert (done.state, done.exit_code) == (State.FAILED, 1)
    assert "none after 3 attempts" in done.message
    with ledger(folder) as journal:
        assert journal.champion("demand").body["name"] == line.OLD


def test_stage_that_hangs_is_ended_with_a_trace_and_counts_as_an_attempt(
    start: Start, folder: Path
) -> None:
    error = start("resume", "hangs", **{"policy.run.stall_s": "0.5"}).ended()["error"]
    assert error["code"] == "update.stalled"
    (log,) = (folder / ".instar" / "logs").iterdir()
    assert log.name in error["parts"][2]
    assert "in run" in log.read_text()
    with ledger(folder) as journal:
        assert journal.holder("demand", time.time()) is None
    assert "result" in start("resume").ended()
    ran = (folder / "ran").read_text().split()
    assert ran.count("train") == 2


def test_worker_that_is_sent_sigterm_stops_at_a_good_moment_and_goes_on(
    start: Start, folder: Path
) -> None:
    worker = start("resume", "steps")
    until(lambda: "train" in (folder / "ran").read_text())
    worker.send(signal.SIGTERM)
    said = worker.ended()["result"]
    assert said["interrupted"] == "the order to stop, after step 7 of epoch 2"
    assert worker.status == 0
    with ledger(folder) as journal:
        (note,) = journal.entries(kind="note")
    assert "train was interrupted" in note.body["reason"]
    assert "result" in start("resume").ended()
    assert line.space(folder).state("u0001").state is State.WAITING


def test_lease_of_a_killed_worker_is_taken_over_at_once(start: Start, folder: Path) -> None:
    first = start("resume", "steps")
    until(lambda: "train" in (folder / "ran").read_text())
    first.send(signal.SIGKILL)
    assert first.ended() == {}
    assert "result" in start("resume").ended()
