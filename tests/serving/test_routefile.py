from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from instar.core.tools import Route
from instar.serving import routefile
from instar.serving.routefile import BrokenRoute, StaleRoute
from instar.serving.routing import BadRoute

ROUTE = Route("m", 1, {"old": 1.0}, {"old": "sha256:0"}, "old", salt="s", warm=("old",))


def test_route_comes_back_as_it_was(tmp_path: Path) -> None:
    routefile.write(tmp_path, ROUTE)
    assert routefile.read(tmp_path) == ROUTE


def test_no_file_is_no_route(tmp_path: Path) -> None:
    assert routefile.read(tmp_path) is None


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"model": "m", "strange": 1}', b"\xff"]
)
def test_file_that_is_no_route_is_refused(tmp_path: Path, data: bytes) -> None:
    routefile.keep(tmp_path, routefile.ROUTE, data)
    with pytest.raises(BrokenRoute):
        routefile.read(tmp_path)


def test_generation_only_grows(tmp_path: Path) -> None:
    routefile.write(tmp_path, replace(ROUTE, generation=5))
    for generation in (4, 5):
        with pytest.raises(StaleRoute):
            routefile.write(tmp_path, replace(ROUTE, generation=generation))
    assert routefile.read(tmp_path) == replace(ROUTE, generation=5)


def test_bad_route_leaves_the_file_alone(tmp_path: Path) -> None:
    routefile.write(tmp_path, ROUTE)
    with pytest.raises(BadRoute):
        routefile.write(tmp_path, replace(ROUTE, generation=2, shares={"old": 0.5}))
    assert routefile.read(tmp_path) == ROUTE


def test_of_many_writers_of_one_generation_one_wins(tmp_path: Path) -> None:
    def attempt(n: int) -> bool:
        try:
            routefile.write(tmp_path, replace(ROUTE, salt=str(n)))
        except StaleRoute:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(16)))
    assert sum(won) == 1
    assert routefile.read(tmp_path) == replace(ROUTE, salt=str(won.index(True)))


def test_nothing_but_whole_files_is_left(tmp_path: Path) -> None:
    for generation in range(1, 5):
        routefile.write(tmp_path, replace(ROUTE, generation=generation))
    names = {path.name for path in (tmp_path / "serve").iterdir()}
    assert names == {"route.json", "route.lock"}


def test_route_of_a_lower_epoch_moves_nothing(tmp_path):
    routefile.write(tmp_path, replace(ROUTE, generation=5, epoch=3))
    late = replace(ROUTE, generation=9, epoch=2)
    with pytest.raises(routefile.FencedRoute, match="at epoch 2; got a lost lease, epoch 3"):
        routefile.write(tmp_path, late)
    assert routefile.read(tmp_path).generation == 5
    routefile.write(tmp_path, replace(ROUTE, generation=6, epoch=4))
    assert routefile.read(tmp_path).epoch == 4


def test_claim_fences_off_lower_epochs_and_moves_nothing(tmp_path):
    routefile.claim(tmp_path, 7)
    assert routefile.read(tmp_path) is None
    routefile.write(tmp_path, replace(ROUTE, epoch=1))
    routefile.claim(tmp_path, 2)
    routefile.claim(tmp_path, 2)
    assert routefile.read(tmp_path) == replace(ROUTE, epoch=2)
    with pytest.raises(routefile.FencedRoute):
        routefile.claim(tmp_path, 1)
    with pytest.raises(routefile.FencedRoute):
        routefile.write(tmp_path, replace(ROUTE, generation=ROUTE.generation + 1, epoch=1))
