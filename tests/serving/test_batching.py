"""Requests that come together are answered together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from instar.core.errors import InstarError
from instar.serving import batching
from instar.serving.batching import HEAVY_ROWS, MOST_ROWS, Job, Runner
from instar.serving.connection import never
from instar.serving.mistakes import ClientGone, Overloaded

BAD, FAILS = -1.0, -2.0


class Bundle:
    """A model that doubles numbers, takes its time, and counts its runs."""

    version = "v"

    def __init__(self, cost_s: float = 0.0) -> None:
        self.cost_s = cost_s
        self.runs: list[int] = []

    def piece(self, columns: list[float]) -> Any:
        return SimpleNamespace(rows=len(columns), values=columns)

    def together(self, pieces: Sequence[Any]) -> Any:
        return self.predict([value for piece in pieces for value in piece.values])

    def predict(self, values: list[float]) -> Any:
        self.runs.append(len(values))
        time.sleep(self.cost_s)
        if FAILS in values:
            raise RuntimeError("/secret/path of the runtime")
        found = np.array([[2 * value] for value in values], np.float32)
        found[np.array(values) == BAD] = np.nan
        return found


class Scene:
    """A runner, and what came out of it, by the job's name."""

    def __init__(self, cost_s: float, spent_s: float = 0.0) -> None:
        self.bundle: Any = Bundle(spent_s)
        self.answers: dict[str, Any] = {}
        self.runner = Runner(self.bundle, cost_s, self.settle, self.refuse)

    def settle(self, jobs: Sequence[Job], scores: Any, parts: Any) -> None:
        at = 0
        for place, job in enumerate(jobs):
            if scores is not None:
                end = at + job.piece.rows
                self.answers[job.name] = scores[at:end, 0].tolist()
                at = end
            elif isinstance(parts[place], InstarError):
                self.answers[job.name] = parts[place].code
            else:
                self.answers[job.name] = parts[place][:, 0].tolist()

    def refuse(self, job: Job, error: InstarError) -> None:
        self.answers[job.name] = error.code

    def submit(
        self,
        name: str,
        *values: float,
        patience_s: float = 10.0,
        gone: Callable[[], bool] = never,
    ) -> None:
        now = time.perf_counter()
        job = Job(
            lambda _: list(values), print, print, name, patience_s, now, pinned=False, gone=gone
        )
        job.take(SimpleNamespace(version=SimpleNamespace(bundle=self.bundle)))
        self.runner.submit(job)

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.answers) < count:  # noqa: ASYNC110 - the runner has no event to wait for
                await asyncio.sleep(0.001)


def test_requests_of_one_turn_are_one_run_and_each_gets_its_rows() -> None:
    async def act() -> None:
        scene = Scene(0.0001)
        sizes = [1 + n % 4 for n in range(12)]
        for n, size in enumerate(sizes):
            scene.submit(str(n), *(10.0 * n + k for k in range(size)))
        assert scene.answers == {}
        await asyncio.sleep(0)
        for n, size in enumerate(sizes):
            assert scene.answers[str(n)] == [2 * (10.0 * n + k) for k in range(size)]
        assert scene.bundle.runs == [30]

    asyncio.run(act())


def test_run_has_a_most_and_a_large_request_its_own() -> None:
    async def act() -> None:
        scene = Scene(0.00001)
        for n in range(70):
            scene.submit(str(n), float(n))
        scene.submit("large", *range(100))
        await asyncio.sleep(0)
        assert scene.bundle.runs == [MOST_ROWS, MOST_ROWS, 6, 100]
        assert scene.answers["69"] == [138.0]
        assert scene.answers["large"][99] == 198.0

    asyncio.run(act())


@pytest.mark.parametrize(("odd", "code"), [(BAD, "invalid_answer"), (FAILS, "prediction_failed")])
@pytest.mark.parametrize("cost_s", [0.0001, 0.01])
def test_odd_request_spoils_nobody_elses_answer(odd: float, code: str, cost_s: float) -> None:
    async def act() -> None:
        scene = Scene(cost_s)
        for n in range(5):
            scene.submit(str(n), odd if n == 2 else float(n + 1))
        await scene.wait(5)
        assert code in scene.answers.pop("2")
        assert scene.answers == {str(n): [2.0 * (n + 1)] for n in (0, 1, 3, 4)}

    asyncio.run(act())


def test_heavy_model_leaves_the_loop_free_and_batches_what_waits() -> None:
    async def act() -> None:
        scene = Scene(0.05, 0.05)
        turns = 0
        for n in range(1 + 2 * HEAVY_ROWS):
            scene.submit(str(n), float(n))
        while len(scene.answers) < 1 + 2 * HEAVY_ROWS:
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 10
        assert scene.bundle.runs == [1, HEAVY_ROWS, HEAVY_ROWS]
        assert scene.answers["16"] == [32.0]
        scene.runner.close()

    asyncio.run(act())


def test_who_would_wait_too_long_is_sent_away_at_once() -> None:
    async def act() -> None:
        scene = Scene(1.0, 0.01)
        for n in range(3):
            scene.submit(str(n), 1.0)
        with pytest.raises(Overloaded) as caught:
            scene.submit("late", 1.0, patience_s=2.5)
        assert caught.value.wait_s == 3.0
        scene.submit("patient", 1.0, patience_s=3.5)
        await scene.wait(4)
        scene.submit("free again", 1.0, patience_s=0.5)
        await scene.wait(5)
        scene.runner.close()

    asyncio.run(act())


def test_who_waited_too_long_is_not_answered_late() -> None:
    async def act() -> None:
        scene = Scene(0.003, 0.2)  # it takes longer than it was measured to
        scene.submit("first", 1.0)
        scene.submit("second", 2.0, patience_s=0.05)
        scene.submit("third", 3.0)
        await scene.wait(3)
        assert scene.answers == {"first": [2.0], "second": Overloaded.code, "third": [6.0]}
        assert scene.bundle.runs == [1, 1]
        scene.runner.close()

    asyncio.run(act())


def test_nothing_is_run_for_clients_that_left_a_crowd() -> None:
    async def act() -> None:
        scene, left = Scene(0.003, 0.02), set[str]()
        for n in range(3 * HEAVY_ROWS):
            name = str(n)
            scene.submit(name, float(n), gone=lambda name=name: name in left)
        left |= {str(n) for n in range(1, 3 * HEAVY_ROWS, 2)}
        await scene.wait(3 * HEAVY_ROWS)
        # The first ran at once; of the last ones, which are no crowd, nobody is left out.
        gone = {name for name, answer in scene.answers.items() if answer == ClientGone.code}
        assert gone == {str(n) for n in range(1, 2 * HEAVY_ROWS, 2)}
        assert scene.bundle.runs == [1, HEAVY_ROWS // 2, HEAVY_ROWS // 2, HEAVY_ROWS - 1]
        scene.runner.close()

    asyncio.run(act())


def test_queue_is_judged_by_what_rows_take_now() -> None:
    async def act() -> None:
        scene = Scene(0.003, 0.05)  # another program has the cores
        for n in range(12):
            scene.submit(str(n), 1.0)
            await scene.wait(n + 1)
        for n in range(4):
            scene.submit(f"waiting {n}", 1.0)
        with pytest.raises(Overloaded) as caught:
            scene.submit("late", 1.0, patience_s=0.1)
        assert caught.value.wait_s > 4 * 0.03
        scene.runner.close()

    asyncio.run(act())


def test_many_rows_of_a_light_model_go_to_the_thread() -> None:
    async def act() -> None:
        scene = Scene(batching.LIGHT_S / 2)
        scene.submit("large", *range(100))
        scene.submit("small", 1.0)
        await asyncio.sleep(0)
        assert "small" in scene.answers
        await scene.wait(2)
        assert len(scene.answers["large"]) == 100
        scene.runner.close()

    asyncio.run(act())
