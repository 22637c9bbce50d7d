from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from instar.stages.release import traffic as moves

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
Make = Callable[..., Any]


def test_begin_keeps_the_way_back_from_the_champion_open(stage: Make) -> None:
    scene = stage()
    before = replace(
        scene.traffic.route(),
        generation=2,
        warm=("older", "forgotten"),
        manifests={OLD: "sha256:o", "older": "sha256:1", "forgotten": "sha256:2"},
    )
    scene.traffic.moves.append(before)
    moves.begin(scene.traffic, replace(scene.champion, parent="older"), scene.candidate)
    assert scene.traffic.route().warm == (NEW, "older")


def test_share_of_everything_leaves_the_champion_loaded(stage: Make) -> None:
    scene = stage()
    route = moves.share(scene.traffic, scene.champion, scene.candidate, 1.0)
    assert (route.shares, route.champion) == ({NEW: 1.0}, OLD)
    assert OLD in route.warm


def test_finish_keeps_only_the_old_champion_warm(stage: Make) -> None:
    scene = stage()
    moves.begin(scene.traffic, scene.champion, scene.candidate)
    route = moves.finish(scene.traffic, scene.champion, scene.candidate)
    assert (route.champion, route.warm, set(route.manifests)) == (NEW, (OLD,), {OLD, NEW})


def test_rollback_after_promotion_loads_nothing(stage: Make) -> None:
    scene = stage()
    moves.begin(scene.traffic, scene.champion, scene.candidate)
    moves.finish(scene.traffic, scene.champion, scene.candidate)
    moves.rollback(scene.traffic, scene.champion)
    route = scene.traffic.route()
    assert (route.champion, route.shares, route.warm) == (OLD, {OLD: 1.0}, (NEW,))


def test_salt_is_the_candidates_and_stays_through_the_release(stage: Make) -> None:
    scene = stage()
    moves.begin(scene.traffic, scene.champion, scene.candidate)
    moves.share(scene.traffic, scene.champion, scene.candidate, 0.1)
    assert scene.traffic.route().salt == NEW
    moves.share(scene.traffic, scene.champion, scene.candidate, 0.5)
    assert scene.traffic.route().salt == NEW
