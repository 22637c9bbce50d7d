from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.core.codec import decode, encode
from instar.core.data import Schema, Snapshot, Task, TaskKind
from instar.core.digest import digest_json
from instar.core.finding import Finding, Verdict, worst
from instar.core.policy import ApprovePolicy
from instar.core.records import Approval, Bundle, Network, Request, Validation, Vote, VoteKind
from instar.core.tools import Tools
from instar.stages.approve import approve
from instar.testing.tools import FakeClock, fake_tools

NOW = 1_800_000_000.0
HOUR = 3_600.0
REQUEST = Request(
    update="u0007",
    model="demand",
    reason="weekly",
    by="rita",
    fresh=Snapshot("sha256:fresh", 10, Schema(()), "june.parquet"),
    task=Task(TaskKind.BINARY, "up", ("no", "yes")),
    network=Network(build="nets:build"),
    features=("a",),
    policy="sha256:policy",
    seed=0,
    champion="v1",
)
BUNDLE = Bundle("v2", "sha256:manifest", (), "model.onnx", "fp32", Verdict.PASS, ())


def gate(code: str, verdict: Verdict, *, enforced: bool = True) -> Finding:
    return Finding(code, verdict, "", enforced=enforced)


def validation(*findings: Finding) -> Validation:
    given = findings or (gate("auroc", Verdict.PASS),)
    return Validation(worst(given), given, BUNDLE.manifest, {"auroc": 0.7}, {"auroc": 0.8})


GOOD = validation()
UNSURE = validation(gate("auroc", Verdict.PASS), gate("too_good", Verdict.INCONCLUSIVE))


def vote(by: str, kind: VoteKind = VoteKind.APPROVE, on: Validation = GOOD, **given: Any) -> Vote:
    fields: dict[str, Any] = {
        "at": NOW,
        "validation": digest_json(encode(on)),
        "bundle": BUNDLE.manifest,
        "policy": REQUEST.policy,
    }
    return Vote(kind=kind, by=by, **fields | given)


def override(by: str, on: Validation = UNSURE, **given: Any) -> Vote:
    fields = {"reason": "seen it", "code": "too_good"} | given
    return vote(by, VoteKind.OVERRIDE, on, **fields)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return fake_tools(tmp_path)


@pytest.fixture
def ask(tools: Tools) -> Any:
    def run(*votes: Vote, on: Validation = GOOD, **policy: Any) -> Approval:
        return approve(REQUEST, on, BUNDLE, votes, policy=ApprovePolicy(**policy), tools=tools)

    return run


def void(approval: Approval) -> list[str]:
    return [f.message for f in approval.findings if f.code.startswith("void")]


def test_approve_passes_with_another_person(ask: Any) -> None:
    got = ask(vote("ana"))
    assert (got.verdict, got.waiting_for) == (Verdict.PASS, 0)
    assert got.expires_at == NOW + 72 * HOUR
    assert (got.bundle, got.policy) == (BUNDLE.manifest, REQUEST.policy)
    assert got.validation == digest_json(encode(GOOD))


def test_approve_waits_and_names_the_command(ask: Any) -> None:
    got = ask(people=2)
    assert (got.verdict, got.waiting_for, got.expires_at) == (Verdict.INCONCLUSIVE, 2, None)
    assert "`instar approve u0007 --by NAME`" in got.findings[-1].passes_if
    assert ask(vote("ana"), people=2).waiting_for == 1
    assert ask(vote("ana"), vote("bo"), people=2).verdict is Verdict.PASS


def test_approve_passes_by_itself_where_nobody_need_be_asked(ask: Any) -> None:
    assert ask(people=0).verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["rita", "Rita", " rita ", "RITA", "\uff52ita"])
def test_approve_does_not_count_the_requester_however_typed(ask: Any, name: str) -> None:
    got = ask(vote(name))
    assert got.verdict is Verdict.INCONCLUSIVE
    assert "own" in void(got)[0]


def test_approve_counts_a_person_once(ask: Any) -> None:
    assert ask(vote("ana"), vote("Ana "), people=2).waiting_for == 1


@pytest.mark.parametrize("by", ["", "  "])
def test_approve_does_not_count_nobody(ask: Any, by: str) -> None:
    assert ask(vote(by)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("field", ["validation", "bundle", "policy"])
@pytest.mark.parametrize("kind", [VoteKind.APPROVE, VoteKind.REJECT])
def test_approve_voids_a_vote_on_something_else(ask: Any, field: str, kind: VoteKind) -> None:
    got = ask(replace(vote("ana", kind), **{field: "sha256:other"}))
    assert (got.verdict, got.waiting_for) == (Verdict.INCONCLUSIVE, 1)
    assert "changed" in void(got)[0]


def test_approve_voids_votes_when_one_number_of_the_validation_changes(ask: Any) -> None:
    changed = replace(GOOD, candidate={"auroc": 0.8000001})
    assert ask(vote("ana"), on=changed).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("age_h", "verdict"),
    [
        (71.99, Verdict.PASS),
        (72.01, Verdict.INCONCLUSIVE),
        (-71.99, Verdict.PASS),
        (-72.01, Verdict.INCONCLUSIVE),
    ],
)
def test_approve_voids_an_old_vote(ask: Any, age_h: float, verdict: Verdict) -> None:
    assert ask(vote("ana", at=NOW - age_h * HOUR)).verdict is verdict


def test_approve_expires_with_the_first_vote_to_expire(ask: Any) -> None:
    got = ask(vote("ana", at=NOW - HOUR), vote("bo"), expires_h=2)
    assert got.expires_at == NOW + HOUR


def test_approve_reads_the_clock_it_is_lent(tools: Tools) -> None:
    assert isinstance(tools.clock, FakeClock)
    tools.clock.sleep(73 * HOUR)
    got = approve(REQUEST, GOOD, BUNDLE, (vote("ana"),), policy=ApprovePolicy(), tools=tools)
    assert got.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("by", ["bo", "rita", "ana"])
def test_approve_fails_when_anybody_says_no(ask: Any, by: str) -> None:
    got = ask(vote("ana"), vote(by, VoteKind.REJECT, reason="wrong month"))
    assert got.verdict is Verdict.FAIL
    assert "wrong month" in got.findings[0].message


def test_approve_keeps_a_no_that_is_old(ask: Any) -> None:
    no = vote("bo", VoteKind.REJECT, at=NOW - 1_000 * HOUR)
    assert ask(vote("ana"), no).verdict is Verdict.FAIL


def test_override_needs_several_people_and_an_approval(ask: Any) -> None:
    waiting = ask(vote("ana", on=UNSURE), override("ana"), on=UNSURE)
    assert (waiting.verdict, waiting.waiting_for) == (Verdict.INCONCLUSIVE, 1)
    command = '`instar approve u0007 --override too_good --by NAME --reason "..."`'
    assert any(command in finding.passes_if for finding in waiting.findings)
    done = ask(vote("ana", on=UNSURE), override("ana"), override("bo"), on=UNSURE)
    assert done.verdict is Verdict.PASS


def test_override_alone_is_no_approval(ask: Any) -> None:
    got = ask(override("ana"), override("bo"), on=UNSURE)
    assert (got.verdict, got.waiting_for) == (Verdict.INCONCLUSIVE, 1)


def test_approval_alone_lets_nothing_uncertain_pass(ask: Any) -> None:
    got = ask(vote("ana", on=UNSURE), vote("bo", on=UNSURE), on=UNSURE)
    assert (got.verdict, got.waiting_for) == (Verdict.INCONCLUSIVE, 2)


@pytest.mark.parametrize(
    "second",
    [
        override("rita"),
        override("ana "),
        override("bo", reason="  "),
        override("bo", code="other"),
        override("bo", at=NOW - 100 * HOUR),
        override("bo", on=GOOD),
    ],
    ids=["requester", "same person", "no reason", "other finding", "old", "other validation"],
)
def test_override_that_does_not_count(ask: Any, second: Vote) -> None:
    got = ask(vote("ana", on=UNSURE), override("ana"), second, on=UNSURE)
    assert (got.verdict, got.waiting_for) == (Verdict.INCONCLUSIVE, 1)


def test_override_is_needed_for_each_uncertain_finding(ask: Any) -> None:
    two = validation(gate("too_good", Verdict.INCONCLUSIVE), gate("flips", Verdict.INCONCLUSIVE))
    votes = [vote("ana", on=two), override("ana", on=two), override("bo", on=two)]
    assert ask(*votes, on=two).waiting_for == 2
    votes += [override("ana", on=two, code="flips"), override("bo", on=two, code="flips")]
    assert ask(*votes, on=two).verdict is Verdict.PASS


def test_override_is_not_needed_for_what_is_only_reported(ask: Any) -> None:
    told = validation(gate("a", Verdict.PASS), gate("b", Verdict.INCONCLUSIVE, enforced=False))
    assert ask(vote("ana", on=told), on=told).verdict is Verdict.PASS


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.ERROR])
def test_nobody_can_override_what_failed(ask: Any, verdict: Verdict) -> None:
    bad = validation(gate("auroc", Verdict.PASS), gate("flips", verdict))
    votes = [vote(by, on=bad) for by in ("ana", "bo")]
    votes += [override(by, on=bad, code="flips") for by in ("ana", "bo", "cy")]
    got = ask(*votes, on=bad)
    assert got.verdict is verdict
    assert "flips" in got.findings[0].message


def test_validation_without_findings_is_an_error(ask: Any) -> None:
    empty = Validation(Verdict.PASS, (), BUNDLE.manifest, {}, {})
    assert ask(vote("ana", on=empty), on=empty).verdict is Verdict.ERROR


def test_validation_that_contradicts_its_findings_is_an_error(ask: Any) -> None:
    lying = replace(UNSURE, verdict=Verdict.PASS)
    votes = [vote("ana", on=lying), override("ana", on=lying), override("bo", on=lying)]
    assert ask(*votes, on=lying).verdict is Verdict.ERROR


def test_validation_of_another_bundle_is_an_error(ask: Any) -> None:
    other = replace(GOOD, bundle="sha256:other")
    assert ask(vote("ana", on=other), on=other).verdict is Verdict.ERROR


def test_approval_is_a_record(ask: Any) -> None:
    got = ask(vote("ana"), vote("rita"))
    assert decode(Approval, encode(got)) == got
