from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from instar.serving import slots
from instar.serving.slots import BOUNDS_MS, KEPT, Sheet, bucket


def test_processes_count_in_the_same_memory(tmp_path: Path) -> None:
    sheet = Sheet.open(tmp_path, 3)
    for worker in range(3):
        if os.fork() == 0:
            tally = sheet.block(worker).tally("v", 7, 0.25)
            for _ in range(1000):
                tally.count(1.0, worker % 2, rows=2)
            os._exit(0)
    for _ in range(3):
        os.wait()
    counts = Sheet.open(tmp_path, 3).read()["v"][7]
    assert (counts.requests, counts.outcomes, counts.rows) == (3000, [2000, 1000, 0], 6000)
    assert counts.share == 0.25
    assert counts.total_ms == pytest.approx(3000)


def test_counts_outlive_the_process_and_more_workers(tmp_path: Path) -> None:
    Sheet.open(tmp_path, 1).block(0).tally("v", 1, 1.0).count(1.0)
    sheet = Sheet.open(tmp_path, 2)
    sheet.block(1).tally("v", 1, 1.0).count(1.0)
    assert Sheet.open(tmp_path, 1).read()["v"][1].requests == 2


def test_file_of_another_kind_is_begun_anew(tmp_path: Path) -> None:
    Sheet.open(tmp_path, 1).block(0).tally("v", 1, 1.0).count(1.0)
    path = tmp_path / "serve" / slots.NAME
    path.write_bytes(b"\xff" * path.stat().st_size)
    assert Sheet.open(tmp_path, 1).read() == {}


def test_disk_without_room_costs_no_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    sheet = Sheet.open(tmp_path, 1)
    sheet.block(0).tally("v", 1, 1.0).count(1.0)
    assert sheet.read()["v"][1].requests == 1


def test_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    (tmp_path / "serve").mkdir()
    (tmp_path / "serve" / slots.NAME).symlink_to(outside)
    Sheet.open(tmp_path, 1).block(0).tally("v", 1, 1.0).count(1.0)
    assert outside.read_bytes() == b"secret"


def test_same_version_and_route_have_one_slot() -> None:
    sheet = Sheet.anonymous(1)
    for _ in range(3):
        sheet.block(0).tally("v", 1, 0.5).count(1.0)
    sheet.block(0).tally("v", 2, 0.5).count(1.0)
    sheet.block(0).tally("w", 1, 0.5).count(1.0)
    found = sheet.read()
    assert (found["v"][1].requests, found["v"][2].requests, found["w"][1].requests) == (3, 1, 1)


def test_old_routes_are_added_up_and_none_is_lost() -> None:
    sheet = Sheet.anonymous(1)
    block = sheet.block(0)
    for generation in range(1, 201):
        for version in ("old", "new"):
            block.tally(version, generation, 0.5).count(float(generation))
    found = sheet.read()
    for version in ("old", "new"):
        assert sum(counts.requests for counts in found[version].values()) == 200
        assert max(found[version]) == 200
        assert len(found[version]) <= KEPT + 1
        assert sum(c.total_ms for c in found[version].values()) == pytest.approx(200 * 201 / 2)


def test_versions_of_long_ago_make_room_for_those_of_now() -> None:
    sheet = Sheet.anonymous(1)
    block = sheet.block(0)
    for n in range(400):
        block.tally(f"v{n}", n + 1, 1.0).count(1.0)
        assert sheet.read()[f"v{n}"][n + 1].requests == 1


def test_worker_that_died_while_it_put_slots_together_blocks_nobody() -> None:
    sheet = Sheet.anonymous(1)
    block = sheet.block(0)
    block.tally("v", 1, 1.0).count(1.0)
    block._words[slots._TURN] += 1
    block.recover()
    assert block._words[slots._TURN] % 2 == 0
    assert sheet.read()["v"][1].requests == 1


def test_bucket_is_the_first_bound_that_holds_the_latency() -> None:
    for taken in np.random.default_rng(0).lognormal(0, 3, 500):
        place = bucket(float(taken))
        assert taken <= BOUNDS_MS[place] or place == len(BOUNDS_MS) - 1
        assert place == 0 or taken > BOUNDS_MS[place - 1] * (1 - 1e-12)


@pytest.mark.parametrize(
    ("value", "place"), [(0.0, 0), (0.0499, 0), (0.05, 1), (0.999, 19), (1.0, 19), (1.0000001, 19)]
)
def test_score_has_its_bin(value: float, place: int) -> None:
    sheet = Sheet.anonymous(1)
    sheet.block(0).tally("v", 1, 1.0).score(value)
    assert sheet.read()["v"][1].scores.index(1) == place


def test_run_of_answers_counts_as_its_answers_one_by_one() -> None:
    chance = np.random.default_rng(0)
    times, values = (10 ** chance.uniform(-3, 6, 500)).tolist(), chance.random(500).tolist()
    times += [0.0, *BOUNDS_MS]
    values += [1.0] * (len(times) - len(values))
    sheet = Sheet.anonymous(2)
    together, alone = (sheet.block(n).tally(f"v{n}", 1, 1.0) for n in (0, 1))
    together.answered(times, values)
    for milliseconds, value in zip(times, values, strict=True):
        alone.count(milliseconds, rows=1)
        alone.score(value)
    one, other = (sheet.read()[f"v{n}"][1] for n in (0, 1))
    assert (one.outcomes, one.rows, one.scores) == (other.outcomes, other.rows, other.scores)
    assert one.total_ms == pytest.approx(other.total_ms)
    # By the formula of the bounds: from one to the next by the fourth root of two.
    places = [min(max(math.ceil(4 * math.log2(max(t, 0.01) / 0.01) - 1e-9), 0), 90) for t in times]
    assert one.buckets == other.buckets == np.bincount(places, minlength=91).tolist()
