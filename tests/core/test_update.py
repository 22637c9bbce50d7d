from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from instar.core.codec import encode
from instar.core.finding import Finding, Verdict
from instar.core.records import Approval, Phase, Plan, Release, Validation, Vote, VoteKind
from instar.core.update import State, replay


@dataclass(frozen=True)
class Line:
    kind: str
    body: Mapping[str, Any]


def validated(verdict: Verdict) -> Line:
    findings = (Finding("flips", verdict, "too many", enforced=True),)
    return Line("validation", encode(Validation(verdict, findings, "b", {}, {})))


def planned(strategy: str, verdict: Verdict = Verdict.PASS) -> Line:
    return Line("plan", encode(Plan(verdict, (), strategy, "because", ())))


def approved(verdict: Verdict) -> Line:
    return Line("approval", encode(Approval(verdict, (), (), "b", "v", "p")))


def released(phase: Phase) -> Line:
    return Line("release", encode(Release(phase, 1, {}, Verdict.PASS, (), "")))


def vote(kind: VoteKind) -> Line:
    return Line("vote", encode(Vote(kind, "bob", 0.0, "v", "b", "p")))


WAITS = [validated(Verdict.PASS), approved(Verdict.INCONCLUSIVE)]
ENDS: Mapping[str, tuple[list[Line], State]] = {
    "nothing yet": ([], State.RUNNING),
    "planned": ([planned("full")], State.RUNNING),
    "kept": ([planned("keep", Verdict.FAIL)], State.KEPT),
    "refused": ([validated(Verdict.FAIL)], State.REFUSED),
    "could not measure": ([validated(Verdict.ERROR)], State.REFUSED),
    "cannot tell": ([validated(Verdict.INCONCLUSIVE)], State.WAITING),
    "passed, people to come": ([validated(Verdict.PASS)], State.RUNNING),
    "waits for people": (WAITS, State.WAITING),
    "approved": ([validated(Verdict.PASS), approved(Verdict.PASS)], State.WAITING),
    "rejected": ([*WAITS, vote(VoteKind.REJECT)], State.REJECTED),
    "step": ([approved(Verdict.PASS), released(Phase.STEP)], State.RELEASING),
    "promoted, not moved": ([released(Phase.PROMOTING), Line("promotion", {})], State.RELEASING),
    "moved, not promoted": ([released(Phase.PROMOTED)], State.RELEASING),
    "promoted": ([Line("promotion", {}), released(Phase.PROMOTED)], State.PROMOTED),
    "taken back": (
        [Line("promotion", {}), released(Phase.PROMOTED), Line("rollback", {})],
        State.ROLLED_BACK,
    ),
    "rolled back": ([released(Phase.ROLLED_BACK)], State.ROLLED_BACK),
    "failed": ([planned("full"), Line("failed", {"reason": "no disk"})], State.FAILED),
    "withdrawn": ([*WAITS, Line("withdrawn", {"reason": "later"})], State.WITHDRAWN),
}


@pytest.mark.parametrize("name", ENDS)
def test_state_is_the_entries_replayed(name: str) -> None:
    lines, state = ENDS[name]
    assert replay(lines).state is state


def test_only_what_has_not_ended_is_open() -> None:
    still_open = {state for state in State if state.open}
    assert still_open == {State.RUNNING, State.WAITING, State.RELEASING}


def test_last_record_of_a_kind_counts_and_all_votes_are_kept() -> None:
    update = replay(
        [validated(Verdict.FAIL), vote(VoteKind.OVERRIDE), vote(VoteKind.APPROVE), *WAITS]
    )
    assert update.verdict is Verdict.INCONCLUSIVE
    assert [cast.kind for cast in update.votes] == [VoteKind.OVERRIDE, VoteKind.APPROVE]
    found = update.get(Validation)
    assert found is not None
    assert found.verdict is Verdict.PASS
    assert update.stage == "approval"
