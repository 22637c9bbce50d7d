"""SIGKILL at every point where something durable happens; then again, during the recovery.

One run of the whole journey leaves a trace of the points that it passes. Then for each point:
the workspace as it was before the command, a kill at the point, and what a user would type next.
What holds afterwards is said by `invariants`, and what was made is compared with the undisturbed
run: weights, bundles, champion. A new point in the product is found by the trace itself.

`make test` tries a few points, drawn by a seed; `make faults` every point at its first pass of a
step, and more passes that the seed draws (of the second update, which passes the same points
as the first, and of the points that do not touch the journal when it is not a file, only drawn
ones). INSTAR_FAULTS=all leaves nothing out.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import invariants, journey
from tests.faults.journey import Crash, House, Store, Stretch

SEED = 20261126
SHARDS = 12
PAIRS = 1  # of each shard
FEW = {
    "sqlite": {"adopt": 1, "serve": 1, "update": 2, "approve": 1, "release": 1, "rollback": 1},
    "postgres": {"update": 1, "release": 1, "rollback": 1},
}
DRAWN = {"sqlite": 24, "postgres": 8}  # passes beside the first ones
TURNS = 2  # more, to come by a point that another course of things passed by
SERVED = 3  # of so many workspaces that came through a crash, one is collected and served

STORES = ("sqlite", "postgres")
Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Way:
    """The journey with one kind of journal, undisturbed."""

    store: Store
    stretches: list[Stretch]


Ways = dict[tuple[str, bool], Way]


@pytest.fixture(scope="module")
def ways() -> Ways:
    return {}


@pytest.fixture
def way(
    request: pytest.FixtureRequest, ways: Ways, tmp_path_factory: pytest.TempPathFactory
) -> Way:
    """Go the journey once for each kind of journal; a short one where few points are tried."""
    name, short = request.param, "thorough" not in request.keywords
    if (name, short) not in ways:
        store: Store = journey.Sqlite()
        if name == "postgres":
            store = journey.Postgres(request.getfixturevalue("postgres"))
        folder = tmp_path_factory.mktemp(f"journey-{name}")
        # That of this process: what it starts is forked from the warm one.
        made = journey.travel(folder, subprocess.Popen, store, short=short)
        ways[name, short] = Way(store, made)
    return ways[name, short]


class Trial:
    """One crash, or several in a row, and what came of it."""

    def __init__(self, stretch: Stretch, folder: Path) -> None:
        self.stretch, self.folder = stretch, folder
        self.house: House = stretch.before.copied(folder)
        self.killed: list[str] = []
        self.passed = 0

    def dies(self, line: int) -> None:
        """Type the step's command, to be killed at the point of a line of the trace.

        By name and number of passes: a checkpoint that falls due earlier or later moves the lines.
        """
        before = self.stretch.points[:line]
        self._go(self.stretch.step.act, f"{before[-1]}#{before.count(before[-1])}")

    def recovers(self, at: str = "") -> None:
        """Type what comes after a crash, to be killed again, or not."""
        self._go(self.stretch.step.again, at)

    def _go(self, act: Callable[[House, Crash | None], None], at: str) -> None:
        crash = Crash(self.folder / f"trace{len(self.killed)}", at)
        act(self.house, crash)
        self.killed.append(crash.killed)
        self.passed = len(crash.lines)

    def violations(self, *, served: bool = True) -> list[str]:
        where = f"{self.stretch.step.name}, killed at {self.killed}"
        found = [f"{where}: {what}" for what in invariants.broken(self.house, served=served)]
        came_to, wanted = self.house.essence(), self.stretch.came_to
        wrong = {key: came_to[key] for key in wanted if came_to[key] != wanted[key]}
        if wrong:
            found.append(f"{where}: ends otherwise: {wrong}")
        return found


def points(way: Way) -> list[tuple[int, int]]:
    """List the points to try as (step, line), in an order that a seed draws."""
    first, later = [], []
    for number, stretch in enumerate(way.stretches):
        for line, name in enumerate(stretch.points, 1):
            alike = stretch.step.name.startswith("second") or (
                way.store.name != "sqlite" and not name.startswith(("journal", "ledger", "route"))
            )
            again = alike or name in stretch.points[: line - 1]
            (later if again else first).append((number, line))
    draw = random.Random(SEED)
    if os.environ.get("INSTAR_FAULTS") != "all":
        later = draw.sample(later, min(len(later), DRAWN[way.store.name]))
    found = [*first, *later]
    draw.shuffle(found)
    return found


def try_point(
    way: Way, number: int, line: int, folder: Path, *, served: bool = True, again: str = ""
) -> tuple[list[str], int]:
    """Kill at a point, and `again` in the recovery; what is broken, what a recovery passed."""
    stretch = way.stretches[number]
    trial = Trial(stretch, folder)
    trial.dies(line)
    for turn in range(TURNS):  # how often a release looks is up to the traffic
        if trial.killed == [stretch.points[line - 1]]:
            break
        way.store.forget(trial.house.folder)
        trial = Trial(stretch, folder.with_name(f"{folder.name}-turn{turn}"))
        trial.dies(line)
    assert trial.killed == [stretch.points[line - 1]], f"{stretch.step.name}: another trace"
    if again:
        trial.recovers(at=again)
    trial.recovers()
    found = trial.violations(served=served)
    if not found:
        way.store.forget(trial.house.folder)
        shutil.rmtree(trial.folder)
    return found, trial.passed


@pytest.mark.parametrize("way", STORES, indirect=True)
def test_kill_at_a_few_points_ends_as_if_nothing_had_happened(
    way: Way, tmp_path: Path, record_property: Record
) -> None:
    left = dict(FEW[way.store.name])
    assert {s.step.name for s in way.stretches if s.points} >= left.keys()
    found, tried = [], 0
    for number, line in points(way):
        name = way.stretches[number].step.name
        if left.get(name):
            left[name] -= 1
            served = tried % SERVED == 0
            tried += 1
            found += try_point(way, number, line, tmp_path / f"{number}-{line}", served=served)[0]
    record_property("crashes", (way.store.name, tried, 0, len(found)))
    assert found == []


@pytest.mark.thorough
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("way", STORES, indirect=True)
def test_kill_at_every_point_and_in_the_recovery_ends_as_if_nothing_had_happened(
    way: Way, shard: int, tmp_path: Path, record_property: Record
) -> None:
    """F1, F2. The second point is drawn from those that the first recovery passed."""
    draw = random.Random(SEED + shard)
    mine = points(way)[shard::SHARDS]
    found, pairs = [], 0
    for turn, (number, line) in enumerate(mine):
        folder = tmp_path / f"{number}-{line}"
        broken, passed = try_point(way, number, line, folder, served=turn % SERVED == 0)
        found += broken
        if pairs < PAIRS and passed:  # else there is nothing left to do, so nothing to kill
            pairs += 1
            again = str(draw.randint(1, passed))
            found += try_point(way, number, line, tmp_path / f"{folder.name}-twice", again=again)[0]
    record_property("crashes", (way.store.name, len(mine), pairs, len(found)))
    assert found == []


@pytest.mark.thorough
@pytest.mark.parametrize("way", STORES, indirect=True)
def test_two_controllers_of_one_update_end_as_one(way: Way, tmp_path: Path) -> None:
    """F6. After a crash in the middle, two people resume the update at once."""
    stretch = next(s for s in way.stretches if s.step.name == "update")
    trial = Trial(stretch, tmp_path)
    trial.dies(1 + stretch.points.index("journal.append.training"))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(trial.house.types, "resume", "u0001") for _ in range(2)]
    ended = sorted(done.result()[0] for done in both)
    assert ended in ([2, 3], [3, 3])  # the other one is told who works on it, or comes later
    assert trial.violations() == []
