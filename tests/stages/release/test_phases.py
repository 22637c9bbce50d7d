from __future__ import annotations

import itertools

import pytest

from instar.core.finding import Finding, Verdict
from instar.core.records import Phase
from instar.stages.release.phases import ENDED, TABLE, Action, decide, judge

LIVE = [phase for phase in Phase if phase not in ENDED]


def test_table_answers_every_live_phase_and_verdict() -> None:
    assert set(TABLE) == set(itertools.product(LIVE, Verdict))


@pytest.mark.parametrize(("phase", "verdict"), sorted(TABLE, key=str))
def test_only_pass_moves_forward(phase: Phase, verdict: Verdict) -> None:
    forward = (Action.BEGIN, Action.ADVANCE, Action.FINISH)
    for last_step, overdue in itertools.product([False, True], repeat=2):
        then, action = decide(phase, verdict, last_step=last_step, overdue=overdue)
        if verdict is not Verdict.PASS:
            assert action not in forward
            assert then in (phase, Phase.PAUSED, Phase.ABORTING)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.STEP, Phase.PAUSED])
def test_fail_rolls_back_from_everywhere_before_promotion(phase: Phase) -> None:
    assert decide(phase, Verdict.FAIL, overdue=True) == (Phase.ABORTING, Action.ROLL_BACK)


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR])
def test_time_turns_an_open_step_into_a_pause_and_never_into_success(verdict: Verdict) -> None:
    assert decide(Phase.STEP, verdict, last_step=True, overdue=True) == (Phase.PAUSED, Action.HOLD)


def test_last_step_leads_to_promoting_without_a_move() -> None:
    assert decide(Phase.STEP, Verdict.PASS, last_step=True) == (Phase.PROMOTING, Action.HOLD)
    assert decide(Phase.PAUSED, Verdict.PASS, last_step=True) == (Phase.PROMOTING, Action.HOLD)


def test_judge_lets_a_failure_outweigh_an_error() -> None:
    failed, blind = Finding("a", Verdict.FAIL, ""), Finding("b", Verdict.ERROR, "")
    assert judge([failed, blind]) is Verdict.FAIL
    assert judge([blind, Finding("c", Verdict.PASS, "")]) is Verdict.ERROR


def test_judge_ignores_what_is_only_reported_and_calls_nothing_an_error() -> None:
    assert judge([Finding("a", Verdict.FAIL, "", enforced=False)]) is Verdict.ERROR
    assert judge([]) is Verdict.ERROR
