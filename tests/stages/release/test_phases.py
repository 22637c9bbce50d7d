from __future__ import annotations

import itertools

import pytest

from instar.core.finding import Finding, Verdict
from instar.core.records import OrderKind, Pause, Phase
from instar.stages.release.phases import (
    ENDED,
    TABLE,
    Action,
    Event,
    decide,
    event,
    heeded,
    judge,
)

LIVE = [phase for phase in Phase if phase not in ENDED and phase is not Phase.PAUSED]
FORWARD = (Action.BEGIN, Action.ADVANCE, Action.FINISH)
MEASURED = (Event.PASS, Event.LAST)
TOLD = (Event.RESUME, Event.SKIP, Event.PROMOTE, Event.PAUSE)
CELLS = sorted(itertools.product(TABLE, Event), key=str)


def test_table_answers_every_event_in_every_state() -> None:
    assert set(TABLE) == {*LIVE, *Pause}
    assert all(set(row) == set(Event) for row in TABLE.values())


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell[0].name}-{cell[1].name}")
def test_only_a_passed_gate_or_a_person_moves_forward(cell: tuple[Phase | Pause, Event]) -> None:
    then, action = decide(*cell)
    if cell[1] not in (*MEASURED, *TOLD):
        assert action not in FORWARD
        assert then is not Phase.PROMOTING or cell[0] is Phase.PROMOTING
    if then is Phase.PROMOTED:
        assert cell[0] is Phase.PROMOTING  # nothing is promoted that the ledger did not record


@pytest.mark.parametrize("state", [Phase.PENDING, Phase.STEP, *Pause], ids=str)
def test_proof_of_harm_leads_back_from_everywhere_before_the_promotion(
    state: Phase | Pause,
) -> None:
    for order in (None, *OrderKind):
        found = event(Verdict.FAIL, order, last_step=True, overdue=True, idle=True, blind=True)
        assert decide(state, found) == (Phase.ABORTING, Action.ROLL_BACK)


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.ERROR])
@pytest.mark.parametrize("state", [Phase.STEP, *Pause], ids=str)
def test_time_turns_an_open_step_into_a_pause_and_never_into_success(
    state: Phase | Pause, verdict: Verdict
) -> None:
    for last_step, idle in itertools.product([False, True], repeat=2):
        found = event(verdict, last_step=last_step, overdue=True, idle=idle)
        then, action = decide(state, found)
        assert action is Action.HOLD
        assert then in (Phase.STEP, *Pause)
    assert decide(Phase.STEP, Event.OVERDUE) == (Pause.INCONCLUSIVE, Action.HOLD)
    assert decide(Phase.STEP, Event.IDLE) == (Pause.NO_TRAFFIC, Action.HOLD)


def test_last_step_leads_to_promoting_without_a_move() -> None:
    found = event(Verdict.PASS, last_step=True)
    for state in (Phase.STEP, Pause.INCONCLUSIVE, Pause.NO_TRAFFIC):
        assert decide(state, found) == (Phase.PROMOTING, Action.HOLD)
    assert event(Verdict.INCONCLUSIVE, OrderKind.SKIP, last_step=True) is Event.PROMOTE


def test_what_a_person_paused_only_a_person_lets_go_on() -> None:
    for found in set(Event) - {*TOLD, Event.FAIL, Event.BLIND}:
        assert decide(Pause.PERSON, found) == (Pause.PERSON, Action.HOLD)
    assert decide(Pause.PERSON, Event.RESUME) == (Phase.STEP, Action.HOLD)


def test_release_without_traffic_goes_on_when_requests_come() -> None:
    assert decide(Pause.NO_TRAFFIC, Event.IDLE) == (Pause.NO_TRAFFIC, Action.HOLD)
    assert decide(Pause.NO_TRAFFIC, Event.OVERDUE) == (Phase.STEP, Action.HOLD)


@pytest.mark.parametrize("order", [OrderKind.SKIP, OrderKind.PROMOTE])
def test_nobody_moves_forward_what_cannot_be_measured(order: OrderKind) -> None:
    assert event(Verdict.ERROR, order) is Event.ERROR
    assert not heeded(Verdict.ERROR, order)
    assert heeded(Verdict.ERROR, OrderKind.PAUSE)


def test_judge_lets_a_failure_outweigh_an_error() -> None:
    failed, blind = Finding("a", Verdict.FAIL, ""), Finding("b", Verdict.ERROR, "")
    assert judge([failed, blind]) is Verdict.FAIL
    assert judge([blind, Finding("c", Verdict.PASS, "")]) is Verdict.ERROR


def test_judge_ignores_what_is_only_reported_and_calls_nothing_an_error() -> None:
    assert judge([Finding("a", Verdict.FAIL, "", enforced=False)]) is Verdict.ERROR
    assert judge([]) is Verdict.ERROR


def test_judge_counts_looks_and_lets_only_named_gates_pass() -> None:
    bad = [Finding("a", Verdict.FAIL, ""), Finding("b", Verdict.FAIL, "")]
    counted = {"a": 3, "b": 2}
    assert judge(bad, counted, fail_after=3) is Verdict.FAIL
    assert judge(bad, counted, fail_after=4) is Verdict.INCONCLUSIVE
    assert judge(bad, counted, lets_pass=("a",)) is Verdict.FAIL
    assert judge(bad, counted, lets_pass=("a", "b")) is Verdict.PASS
