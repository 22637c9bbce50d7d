from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from instar.core.tools import Route
from instar.serving.routing import BUCKETS, BadRoute, Router

UNITS = [f"customer-{n}" for n in range(20_000)]


def router(shares: dict[str, float], salt: str = "s", champion: str = "old", **more: Any) -> Router:
    names = dict.fromkeys([*shares, champion])
    return Router(Route("m", 1, shares, dict.fromkeys(names, "sha256:0"), champion, salt, **more))


def assign(**shares: float) -> list[str]:
    routing = router(shares)
    return [routing.version(unit) for unit in UNITS]


def test_buckets_are_uniform() -> None:
    routing = router({"old": 1.0})
    counts = np.bincount([routing.bucket(unit) // 100 for unit in UNITS], minlength=100)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.25, 0.5, 1.0])
def test_share_of_the_buckets_is_exact(share: float) -> None:
    owners = router({"old": 1 - share, "new": share})._owners
    assert owners.count("new") == round(share * BUCKETS)
    assert len(owners) == BUCKETS


def test_growth_moves_only_from_the_champion_to_the_candidate() -> None:
    before = assign(old=0.9, new=0.1)
    after = assign(old=0.4, new=0.6)
    moves = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    assert moves == {("old", "new")}


def test_growth_of_one_challenger_does_not_touch_the_other() -> None:
    before = assign(old=0.7, new=0.1, other=0.2)
    after = assign(old=0.3, new=0.5, other=0.2)
    moves = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    assert moves == {("old", "new")}


def test_another_salt_chooses_other_units() -> None:
    first, second = router({"old": 0.5, "new": 0.5}, "a"), router({"old": 0.5, "new": 0.5}, "b")
    same = np.mean([first.version(u) == second.version(u) for u in UNITS])
    assert 0.48 < same < 0.52


def test_any_text_is_a_unit() -> None:
    routing = router({"old": 1.0})
    assert {routing.version(unit) for unit in ("", "\0", "é" * 1_000, "\ud800")} == {"old"}


@pytest.mark.parametrize(
    "shares",
    [
        {"old": 0.5},
        {"old": 0.7, "new": 0.7},
        {"old": 1.5, "new": -0.5},
        {"old": 0.25, "a": 0.25, "b": 0.25, "c": 0.25},
    ],
)
def test_route_that_contradicts_itself_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(BadRoute):
        router(shares)


def test_route_without_a_manifest_is_refused() -> None:
    with pytest.raises(BadRoute, match="a manifest for cold"):
        router({"old": 1.0}, warm=("cold",))
