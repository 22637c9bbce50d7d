from __future__ import annotations

from instar.core.tools import Route

ROUTE = Route(
    model="m",
    generation=7,
    shares={"old": 0.75, "new": 0.25},
    manifests={"old": "O", "new": "N", "older": "A"},
    champion="old",
    salt="new",
    warm=("older", "new"),
)


def test_home_gives_all_traffic_to_one_and_keeps_the_others_warm() -> None:
    home = ROUTE.home("old", "O")
    assert (home.generation, dict(home.shares), home.champion) == (8, {"old": 1.0}, "old")
    assert home.warm == ("new", "older")
    assert dict(home.manifests) == {"new": "N", "older": "A", "old": "O"}


def test_home_may_be_gone_to_twice() -> None:
    once = ROUTE.home("old", "O")
    twice = once.home("old", "O")
    assert (twice.shares, twice.warm, twice.champion) == (once.shares, once.warm, once.champion)


def test_home_to_a_version_that_does_not_serve_takes_its_manifest() -> None:
    home = ROUTE.home("ancient", "X")
    assert (home.manifests["ancient"], home.warm) == ("X", ("old", "new", "older"))
