"""SIGKILL at every point where something durable happens; then again, during the recovery.

One run of the whole journey leaves a trace of the points that it passes. Then for each point:
the workspace as it was before the command, a kill at the point, and what a user would type next.
What holds afterwards is said by `invariants`, and what was made is compared with the undisturbed
run: weights, bundles, champion. A new point in the product is found by the trace itself.

`make test` tries a few points, drawn by a seed; `make faults` every point (of the second update,
which passes the same ones as the first, and of the points that do not touch the journal when it
is not a file, every third). INSTAR_FAULTS=all leaves nothing out.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import invariants, journey, warm
from tests.faults.journey import Crash, House, Popen, Store, Stretch

SEED = 20261126
SHARDS = 12
PAIRS = 4  # of each shard
FEW = {"adopt": 1, "serve": 1, "update": 2, "approve": 1, "release": 1, "rollback": 1}
THIRD = 3

Travel = Callable[[Store], list[Stretch]]
Record = Callable[[str, object], None]


def stores() -> list[Any]:
    """Every journal that there is."""
    return [pytest.param(journey.Sqlite(), id="sqlite")]


@pytest.fixture(scope="module")
def popen() -> Iterator[Popen]:
    with warm.server() as made:
        yield made


@pytest.fixture(scope="module")
def travelled(popen: Popen, tmp_path_factory: pytest.TempPathFactory) -> Travel:
    """The journey, undisturbed, once for each journal."""
    known: dict[str, list[Stretch]] = {}

    def travel(store: Store) -> list[Stretch]:
        if store.name not in known:
            folder = tmp_path_factory.mktemp(f"journey-{store.name}")
            known[store.name] = journey.travel(folder, popen, store)
        return known[store.name]

    return travel


class Trial:
    """One crash, or several in a row, and what came of it."""

    def __init__(self, stretch: Stretch, folder: Path) -> None:
        self.stretch, self.folder = stretch, folder
        self.house: House = stretch.before.copied(folder)
        self.killed: list[str] = []
        self.passed = 0

    def dies(self, at: int) -> None:
        """Type the step's command, to be killed at a point."""
        self._go(self.stretch.step.act, at)

    def recovers(self, at: int = 0) -> None:
        """Type what comes after a crash, to be killed again, or not."""
        self._go(self.stretch.step.again, at)

    def _go(self, act: Callable[[House, Crash | None], None], at: int) -> None:
        crash = Crash(self.folder / f"trace{len(self.killed)}", at)
        act(self.house, crash)
        self.killed.append(crash.killed)
        self.passed = len(crash.lines)

    def violations(self) -> list[str]:
        where = f"{self.stretch.step.name}, killed at {self.killed}"
        found = [f"{where}: {what}" for what in invariants.broken(self.house)]
        came_to, wanted = self.house.essence(), self.stretch.came_to
        wrong = {key: came_to[key] for key in wanted if came_to[key] != wanted[key]}
        if wrong:
            found.append(f"{where}: ends otherwise: {wrong}")
        return found


def points(stretches: list[Stretch], store: Store) -> list[tuple[int, int]]:
    """List the points to try as (step, line), in an order that a seed draws."""
    found = []
    for number, stretch in enumerate(stretches):
        for line, name in enumerate(stretch.points, 1):
            alike = stretch.step.name.startswith("second") or (
                store.name != "sqlite" and not name.startswith(("journal", "ledger", "route"))
            )
            if not alike or line % THIRD == 0 or os.environ.get("INSTAR_FAULTS") == "all":
                found.append((number, line))
    random.Random(SEED).shuffle(found)
    return found


def try_point(stretch: Stretch, line: int, folder: Path) -> list[str]:
    trial = Trial(stretch, folder)
    trial.dies(line)
    assert trial.killed == [stretch.points[line - 1]], f"{stretch.step.name}: another trace"
    trial.recovers()
    found = trial.violations()
    if not found:
        shutil.rmtree(folder)
    return found


@pytest.mark.parametrize("store", stores())
def test_kill_at_a_few_points_ends_as_if_nothing_had_happened(
    store: Store, travelled: Travel, tmp_path: Path, record_property: Record
) -> None:
    stretches = travelled(store)
    assert {s.step.name for s in stretches if s.points} >= FEW.keys()
    left = dict(FEW)
    found, tried = [], 0
    for number, line in points(stretches, store):
        name = stretches[number].step.name
        if left.get(name):
            left[name] -= 1
            tried += 1
            found += try_point(stretches[number], line, tmp_path / f"{number}-{line}")
    record_property("crashes", (store.name, tried, 0, len(found)))
    assert found == []


@pytest.mark.thorough
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("store", stores())
def test_kill_at_every_point_ends_as_if_nothing_had_happened(
    store: Store, shard: int, travelled: Travel, tmp_path: Path, record_property: Record
) -> None:
    stretches = travelled(store)
    mine = points(stretches, store)[shard::SHARDS]
    found = []
    for number, line in mine:
        found += try_point(stretches[number], line, tmp_path / f"{number}-{line}")
    record_property("crashes", (store.name, len(mine), 0, len(found)))
    assert found == []


@pytest.mark.thorough
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("store", stores())
def test_kill_during_the_recovery_ends_as_if_nothing_had_happened(
    store: Store, shard: int, travelled: Travel, tmp_path: Path, record_property: Record
) -> None:
    """F2. The second point is drawn from those that this very recovery passes."""
    stretches = travelled(store)
    draw = random.Random(SEED + shard)
    found, pairs = [], 0
    for number, line in points(stretches, store)[shard::SHARDS][:PAIRS]:
        stretch = stretches[number]
        scout = Trial(stretch, tmp_path / f"{number}-{line}-scout")
        scout.dies(line)
        scout.recovers()
        if scout.passed == 0:
            continue  # there is nothing left to do, so nothing to kill
        trial = Trial(stretch, tmp_path / f"{number}-{line}-twice")
        trial.dies(line)
        trial.recovers(at=draw.randint(1, scout.passed))
        trial.recovers()
        pairs += 1
        found += trial.violations()
    record_property("crashes", (store.name, 0, pairs, len(found)))
    assert found == []
