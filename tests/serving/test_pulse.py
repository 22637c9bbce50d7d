from __future__ import annotations

import pytest

from instar.serving.pulse import HURRY_S, LOAD_S, LOOK_S, Pulse
from instar.serving.slots import Block, Sheet


class Watched:
    """A process that a test lets live, and somebody who looks at it."""

    def __init__(self, hang_s: float = 5.0) -> None:
        self.block: Block = Sheet.anonymous(1).block(0)
        self.pulse, self.now = Pulse(hang_s), 100.0

    def look(self, seconds: float, *, alive: bool = False, hurry: bool = False) -> float | None:
        """Look for some seconds; say after how many of them the process was held to hang."""
        begun = self.now
        while self.now - begun < seconds:
            self.now += LOOK_S
            if alive:
                self.block.tick()
            if self.pulse.look({0: self.block}, self.now, hurry=hurry):
                return self.now - begun
        return None


def test_process_that_moves_is_left_alone() -> None:
    assert Watched().look(60, alive=True) is None


def test_process_that_does_not_move_hangs_after_its_time() -> None:
    watched = Watched()
    watched.look(3, alive=True)
    assert watched.look(60) == pytest.approx(5.1, abs=0.2)


def test_process_hangs_sooner_where_a_route_waits_for_it() -> None:
    watched = Watched()
    watched.look(3, alive=True)
    assert watched.look(60, hurry=True) == pytest.approx(HURRY_S, abs=0.3)


def test_process_that_says_it_loads_has_longer_also_in_a_hurry() -> None:
    watched = Watched()
    watched.look(1, alive=True)
    watched.block.loading = True
    assert watched.look(100, hurry=True) == pytest.approx(LOAD_S, abs=0.3)


def test_successor_begins_anew() -> None:
    watched = Watched()
    watched.look(1, alive=True)
    assert watched.look(4) is None
    watched.pulse.born(0)
    assert watched.look(4) is None


def test_looker_that_was_stopped_itself_blames_nobody() -> None:
    watched = Watched()
    watched.look(1, alive=True)
    watched.now += 600
    assert watched.look(4) is None
    assert watched.look(60) == pytest.approx(1.1, abs=0.3)
