from __future__ import annotations

from instar.report.traffic import moves, shares
from tests.report.stories import CANDIDATE, good, refused


def test_shares_are_steps_that_sum_to_one_hundred() -> None:
    drawn = shares(good().releases)
    one, other = (series["y"] for series in drawn["series"])
    assert [a + b for a, b in zip(one, other, strict=True)] == [100.0] * len(drawn["x"])
    assert drawn["x"] == sorted(drawn["x"])
    assert drawn["series"][1]["name"] == CANDIDATE
    assert drawn["series"][1]["y"][-1] == 100.0


def test_shares_of_a_single_record_make_no_course() -> None:
    assert shares(good().releases[:1]) == {}
    assert shares(()) == {}


def test_moves_give_the_candidate_share_and_the_time_since_the_first() -> None:
    seen = moves(good())
    assert [move.share for move in seen] == [0.01, 0.05, 0.25, 1.0, 1.0]
    assert [move.after_s for move in seen][:2] == [0.0, 14.0]
    assert moves(refused()) == []
