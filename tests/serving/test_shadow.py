"""A shadow answers nobody, is compared on the requests that others answered, and harms no reply."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instar.core.codec import decode, encode
from instar.core.data import Task, TaskKind
from instar.core.policy import ServeSettings
from instar.core.tools import Compared, Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving import mirror, trials
from instar.serving.client import GatewayTraffic, RouteRefused, start
from instar.serving.desk import Desk
from instar.serving.mirror import CROWD, Mirror, Shown, line, pack, unpack
from instar.serving.models import Shelf, stock
from instar.serving.routing import BadRoute, check
from instar.serving.shadow import _compare
from instar.serving.slots import Sheet
from instar.serving.trials import Trial
from instar.tasks import form_of
from instar.testing.bundles import tiny_bundle

OLD, NEW, WILD = "model_v20260101_0000", "model_v20260102_0000", "model_v20260103_0000"


def until(true: Callable[[], Any], patience_s: float = 30.0) -> Any:
    end = time.monotonic() + patience_s
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.fixture
def shadowed(house: Any) -> Callable[..., Any]:
    """The module's gateway with a shadow beside the old version."""

    def begin(version: str, share: float = 1.0) -> Callable[[], Compared]:
        house.move({OLD: 1.0}, shadow={version: share})
        until(lambda: house.traffic.status()["shadow_pid"])
        since = house.traffic.route().generation

        def loaded() -> bool:  # a request is compared only once the shadow is there
            house.infer("loaded?")
            return bool(house.traffic.compared(version, since).requests)

        until(loaded)
        house.move({OLD: 1.0}, shadow={version: share})
        since = house.traffic.route().generation
        until(lambda: (house.infer("again?"), house.traffic.compared(version, since).requests)[1])

        def settled() -> Compared | None:
            found = house.traffic.compared(version, since)
            return found if found.requests + found.dropped == found.sampled else None

        before = until(settled)

        def told() -> Compared:
            found = house.traffic.compared(version, since)
            return replaced(found, before)

        return told

    return begin


def replaced(found: Compared, before: Compared) -> Compared:
    """Take off what was counted before."""
    names = ("sampled", "dropped", "requests", "errors", "invalid", "rows", "flips", "crashes")
    made = encode(found)
    return decode(Compared, {**made, **{n: getattr(found, n) - getattr(before, n) for n in names}})


def test_answers_that_are_compared_belong_to_the_same_request(
    house: Any, shadowed: Callable[..., Any]
) -> None:
    told = shadowed(NEW)
    xs = [(number - 60) / 20 for number in range(120)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda x: house.infer(f"at {x}", x), xs))
    assert {answer["model_version"] for answer in answers} == {OLD}
    found = until(lambda: (now := told()).requests + now.dropped >= len(xs) and now)
    assert (found.sampled, found.requests, found.dropped) == (len(xs), len(xs), 0)
    assert (found.errors, found.invalid, found.crashes) == (0, 0, 0)
    # The old one's logit is x, the new one's x + 1: only those between part. A mix-up of two
    # requests anywhere would change the sum and the largest difference.
    assert found.flips == sum(-1 < x <= 0 for x in xs)
    apart = [sigmoid(x + 1) - sigmoid(x) for x in (*xs, 1.0)]
    assert found.largest == pytest.approx(max(apart), abs=1e-6)
    assert found.latency_ms["p99"] > 0
    metrics = house.http.get("/metrics").text
    assert f'instar_shadow_flips_total{{model="m",version="{NEW}"}}' in metrics


def test_mean_difference_is_over_rows_and_a_request_counts_its_share(
    house: Any, shadowed: Callable[..., Any]
) -> None:
    told = shadowed(NEW)
    rows = [{"x": x, "y": 0.5, "colour": "red"} for x in (-0.5, -0.5, -0.5, 2.0)]
    answer = house.http.post("/v2/models/m/predict", json={"rows": rows, "id": "four"})
    assert answer.status_code == 200
    found = until(lambda: (now := told()).requests == 1 and now)
    assert (found.rows, found.flips) == (4, 3)


def test_failure_of_a_shadow_never_touches_a_reply(
    house: Any, shadowed: Callable[..., Any]
) -> None:
    told = shadowed(WILD)
    for x in (1.0, 10.0, 100.0) * 10:
        assert house.infer("wild", x)["model_version"] == OLD
    found = until(lambda: (now := told()).requests == 30 and now)
    assert (found.errors, found.invalid, found.rows) == (10, 10, 10)
    assert WILD not in house.traffic.served(house.traffic.route().generation)


def test_shadow_is_sampled_and_requests_that_name_a_version_are_not_shown(
    house: Any, shadowed: Callable[..., Any]
) -> None:
    told = shadowed(NEW, 0.25)
    for number in range(200):
        house.infer(f"r{number}")
    pinned = f"/v2/models/m/versions/{OLD}/infer"
    before = told().sampled
    assert 20 <= before <= 90
    x = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}
    for _ in range(40):
        assert house.http.post(pinned, json={"inputs": [x]}).status_code == 200
    assert told().sampled == before


def test_shadow_that_is_overloaded_is_left_out_and_no_request_waits(
    house: Any, shadowed: Callable[..., Any]
) -> None:
    told = shadowed(NEW)
    pid = house.traffic.status()["shadow_pid"]
    os.kill(pid, signal.SIGSTOP)  # one that does not come to its turn
    try:
        rows = [{"x": float(x), "y": 0.5, "colour": "red"} for x in range(500)]
        for _ in range(200):
            answer = house.http.post("/v2/models/m/predict", json={"rows": rows})
            assert len(answer.json()["predictions"]) == 500
        found = told()
        assert found.sampled == 200
        assert found.dropped > 20
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: (now := told()).requests + now.dropped == 200)


def test_process_of_a_shadow_that_is_killed_is_replaced_and_costs_no_answer(
    house: Any, shadowed: Callable[..., Any]
) -> None:
    shadowed(NEW)
    since = house.traffic.route().generation
    killed = house.traffic.status()["shadow_pid"]
    os.kill(killed, signal.SIGKILL)
    for number in range(50):
        assert house.infer(f"after {number}")["model_version"] == OLD
    until(lambda: house.traffic.status()["shadow_pid"] not in (None, killed))
    before = house.traffic.compared(NEW, since).requests

    def again() -> bool:
        house.infer("again?")
        return bool(house.traffic.compared(NEW, since).requests > before)

    until(again)


def test_route_without_a_shadow_ends_its_process(house: Any, shadowed: Callable[..., Any]) -> None:
    shadowed(NEW)
    pid = house.traffic.status()["shadow_pid"]
    house.move({OLD: 1.0})
    until(lambda: house.traffic.status()["shadow_pid"] is None)
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert house.infer()["model_version"] == OLD


def test_shadow_that_cannot_be_loaded_is_refused_and_stops_nobody_at_a_start(house: Any) -> None:
    route = house.route({OLD: 1.0}, shadow={"model_v20260104_0000": 0.5})
    route.manifests["model_v20260104_0000"] = "sha256:" + "0" * 64
    try:
        with pytest.raises(RouteRefused):
            house.traffic.move(route)
        assert house.infer()["model_version"] == OLD
    finally:
        del route.manifests["model_v20260104_0000"]


# --- without a gateway ------------------------------------------------------------------------


def route(**more: Any) -> Route:
    return Route("m", 1, {OLD: 1.0}, {OLD: "a", NEW: "b"}, OLD, **more)


@pytest.mark.parametrize(
    "wrong",
    [
        route(shadow={NEW: 0.0}),
        route(shadow={NEW: 1.5}),
        route(shadow={OLD: 0.5}),
        route(shadow={"unknown": 0.5}),
    ],
    ids=["none", "more than all", "the champion", "without a manifest"],
)
def test_shadow_that_makes_no_sense_is_refused(wrong: Route) -> None:
    check(route(shadow={NEW: 0.5}))
    with pytest.raises(BadRoute):
        check(wrong)


def test_route_from_before_shadows_is_read() -> None:
    told = encode(route())
    del told["shadow"], told["tolerance"]
    assert decode(Route, told) == route()


def test_way_home_ends_a_shadow_and_keeps_it_warm() -> None:
    home = route(shadow={NEW: 0.5}).home(OLD, "a")
    assert (home.shadow, home.warm) == ({}, (NEW,))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    artifacts = DirectoryArtifacts(tmp_path_factory.mktemp("mirror") / "artifacts")
    manifests = {OLD: tiny_bundle(artifacts, OLD), NEW: tiny_bundle(artifacts, NEW, bias=1.0)}
    wanted = Route("m", 7, {OLD: 1.0}, manifests, OLD, shadow={NEW: 1.0})
    return stock(wanted, "m", artifacts, None)


class Busy:
    """A worker's mirror without a worker."""

    def __init__(self, shelf: Shelf) -> None:
        self.inside = 0
        self.into, self.out = line()
        self.sheet = Sheet.anonymous(1, folds=False)
        self.desk = Desk("m", Sheet.anonymous(1).block(0))
        self.desk.mirror = Mirror(self.into, self.sheet.block(0), lambda: self.inside)
        self.desk.take(shelf)

    def ask(self, rows: int = 1) -> None:
        columns = {
            "x": [float(n) for n in range(rows)],
            "y": [0.5] * rows,
            "colour": ["red"] * rows,
        }
        self.desk.predict(lambda arm: columns, lambda *_: None, lambda _: None, unit="u", name="n")

    @property
    def told(self) -> Compared:
        return trials.read(self.sheet)[NEW]


def test_full_queue_and_a_crowd_leave_the_shadow_out(shelf: Shelf) -> None:
    async def act() -> None:
        scene = Busy(shelf)
        scene.ask()
        await asyncio.sleep(0)
        shown = unpack(scene.out.recv(1 << 20))
        assert (shown.version, shown.generation, shown.columns["x"]) == (NEW, 7, [0.0])
        assert shown.rows == [[pytest.approx(0.5), pytest.approx(0.5)]]
        assert (scene.told.sampled, scene.told.dropped) == (1, 0)
        scene.inside = CROWD + 1
        scene.ask()
        await asyncio.sleep(0)
        assert (scene.told.sampled, scene.told.dropped) == (2, 1)
        scene.inside = 0
        for _ in range(4000):
            scene.ask(8)
            await asyncio.sleep(0)
        waiting = 0
        with contextlib.suppress(BlockingIOError):
            while scene.out.recv(1 << 20):
                waiting += 1
        assert waiting < 4000
        assert scene.told.dropped == 1 + 4000 - waiting
        scene.into.close()
        scene.out.close()

    asyncio.run(act())


def test_message_keeps_arrays_and_missing_values() -> None:
    columns = {"i": np.arange(12, dtype=np.uint8).reshape(1, 3, 4), "x": [None], "c": ["é"]}
    shown = unpack(pack((NEW, 3, columns, [[0.5]], ("a", "b"), ())))
    assert (shown.columns["i"] == columns["i"]).all()
    assert (shown.columns["x"], shown.columns["c"], shown.classes) == ([None], ["é"], ("a", "b"))
    with pytest.raises(TypeError):
        pack((NEW, 3, {"x": np.array(["a"], object)}, [[0.5]], (), ()))


def compared(task: Task, owner: Task, live: Any, ours: Any, within: float = 0.01) -> Compared:
    sheet = Sheet.anonymous(1, folds=False)
    shown = Shown(NEW, 1, {}, live, owner.classes, owner.thresholds)
    trial = Trial(sheet.block(0), NEW, 1)
    _compare(task, trial, shown, np.array(ours, np.float32), within, 1.0)
    return trials.read(sheet)[NEW]


def test_candidate_with_a_new_class_is_compared_by_the_names_of_classes() -> None:
    old = Task(TaskKind.MULTICLASS, "kind", ("a", "b"))
    new = Task(TaskKind.MULTICLASS, "kind", ("b", "c", "a"))
    live = [[0.9, 0.1], [0.2, 0.8]]
    found = compared(new, old, live, [[0.1, 0.0, 0.9], [0.3, 0.6, 0.1]])
    assert (found.rows, found.flips) == (2, 1)
    assert found.largest == pytest.approx(0.6)
    assert found.mean == pytest.approx(0.3)


def test_labels_part_where_any_of_them_does_each_by_its_own_threshold() -> None:
    old = Task(TaskKind.MULTILABEL, classes=("a", "b"), targets=("a", "b"), thresholds=(0.5, 0.5))
    new = Task(TaskKind.MULTILABEL, classes=("a", "b"), targets=("a", "b"), thresholds=(0.5, 0.9))
    live = [[0.9, 0.8], [0.9, 0.1], [0.1, 0.95]]
    assert compared(new, old, live, live).flips == 1


def test_values_part_beyond_the_tolerance() -> None:
    task = Task(TaskKind.REGRESSION, "minutes")
    found = compared(task, task, [[1.0], [2.0], [3.0]], [[1.2], [2.0], [2.0]], within=0.5)
    assert (found.rows, found.flips, found.largest) == (3, 1, 1.0)
    assert found.mean == pytest.approx(0.4)


def test_every_form_tells_whether_answers_part() -> None:
    for kind in TaskKind:
        classes = () if kind is TaskKind.REGRESSION else ("a", "b")
        task = Task(kind, "t", classes)
        number = kind in (TaskKind.REGRESSION, TaskKind.DETECTION)  # a value, a count of objects
        one = np.array([[0.2]]) if number else np.array([[0.2, 0.8]])
        other = one + 1 if number else one[:, ::-1]
        form = form_of(task)
        assert form.parted(one, task, one, task, 0.01).tolist() == [False]
        assert form.parted(one, task, other, task, 0.01).tolist() == [True]


def test_comparisons_of_long_ago_make_room() -> None:
    sheet = Sheet.anonymous(1, folds=False)
    for generation in range(1, 301):
        Trial(sheet.block(0), NEW, generation).answered(1.0, 1, 1, 0.5, 0.5)
    found = trials.read(sheet)[NEW]
    assert 1 < found.requests < 300
    assert trials.read(sheet, 300)[NEW].largest == 0.5


# --- a shadow that hangs ----------------------------------------------------------------------


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[tuple[GatewayTraffic, str]]:
    artifacts = DirectoryArtifacts(tmp_path / "artifacts")
    manifests = {OLD: tiny_bundle(artifacts, OLD), NEW: tiny_bundle(artifacts, NEW, hangs_above=5)}
    traffic = GatewayTraffic(tmp_path, "m")
    traffic.put(Route("m", 1, {OLD: 1.0}, manifests, OLD, shadow={NEW: 1.0}))
    gateway = start(tmp_path, "m", how=ServeSettings(workers=1, hang_s=0.5))
    yield traffic, gateway.url
    gateway.stop()


def test_shadow_that_hangs_ends_its_own_process_and_is_blamed(
    hanging: tuple[GatewayTraffic, str],
) -> None:
    import httpx

    traffic, url = hanging

    def ask(x: float) -> None:
        tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [x]}
        answer = httpx.post(f"{url}/v2/models/m/infer", json={"inputs": [tensor]})
        assert answer.json()["model_version"] == OLD

    until(lambda: (ask(1.0), traffic.compared(NEW).requests)[1])
    pid = traffic.status()["shadow_pid"]
    ask(10.0)
    found = until(lambda: (now := traffic.compared(NEW)).crashes and now)
    assert found.errors == 1
    ask(1.0)
    until(lambda: traffic.status()["shadow_pid"] not in (None, pid))


def test_line_is_one_message_a_send() -> None:
    into, out = mirror.line()
    into.send(b"one")
    into.send(b"two")
    assert (out.recv(100), out.recv(100)) == (b"one", b"two")
    into.close()
    out.close()
