from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from instar.bundle import trust
from instar.core.codec import decode, encode
from instar.core.digest import digest_json
from instar.core.errors import IntegrityError, NoTraffic
from instar.core.finding import Comparison, Verdict
from instar.core.policy import StepRule
from instar.core.records import OrderKind, Pause, Phase, Release
from instar.stages.release import NotApproved, rollback
from instar.stages.release.scene import PlanChanged
from instar.testing.bundles import tiny_bundle
from instar.testing.tools import FakeSigner
from instar.testing.traffic import Behaviour, Silent

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
Make = Callable[..., Any]


def finding(record: Release, code: str) -> Any:
    return next(f for f in record.findings if f.code == code)


def test_release_rehearses_the_way_back_before_the_first_share(stage: Make) -> None:
    scene = stage()
    now = scene.tick()
    assert (now.phase, now.step, now.shares) == (Phase.STEP, 1, {OLD: 0.9, NEW: 0.1})
    assert now.rehearsed_s == pytest.approx(0.02)
    warm, back, first = scene.traffic.moves[1:]
    assert warm.shares == back.shares == {OLD: 1.0}
    assert NEW in warm.warm
    assert NEW in back.warm
    assert first.shares[NEW] == 0.1
    assert [route.generation for route in scene.traffic.moves] == [1, 2, 3, 4]


def test_release_is_promoted_when_candidate_is_as_good(stage: Make) -> None:
    scene = stage()
    now = scene.run()
    assert (now.phase, now.verdict, now.shares) == (Phase.PROMOTED, Verdict.PASS, {NEW: 1.0})
    assert now.requests >= 400
    assert now.labels >= 250
    route = scene.traffic.route()
    assert (route.champion, route.warm) == (NEW, (OLD,))
    assert finding(now, "quality").answer is not Comparison.WORSE


def test_release_waits_in_promoting_with_the_last_share(stage: Make) -> None:
    scene = stage()
    while scene.tick().phase is not Phase.PROMOTING:
        scene.traffic.serve(200)
    assert scene.traffic.route().shares == {OLD: 0.5, NEW: 0.5}
    assert scene.tick().phase is Phase.PROMOTED


def test_release_rolls_back_when_candidate_fails_more_often(stage: Make) -> None:
    scene = stage(new=Behaviour(errors=0.2), old=Behaviour(errors=0.01))
    now = scene.run(each=50)
    assert (now.phase, now.verdict, now.shares) == (Phase.ROLLED_BACK, Verdict.FAIL, {OLD: 1.0})
    assert scene.traffic.route().shares == {OLD: 1.0}
    assert now.rollback_s is not None
    assert now.requests < 150
    assert now.reason.startswith(("errors", "failures"))


def test_release_rolls_back_when_live_quality_is_worse(stage: Make) -> None:
    scene = stage(new=Behaviour(noise=0.6))
    now = scene.run()
    quality = finding(now, "quality")
    assert now.phase is Phase.ROLLED_BACK
    assert (quality.verdict, quality.answer) == (Verdict.FAIL, Comparison.WORSE)
    assert quality.interval.high < 0
    assert quality.picture["kind"] == "intervals"


def test_release_rolls_back_on_the_first_answer_that_is_no_number(stage: Make) -> None:
    scene = stage(new=Behaviour(invalid=0.05))
    now = scene.run(each=50)
    assert now.phase is Phase.ROLLED_BACK
    assert finding(now, "invalid").verdict is Verdict.FAIL


def test_release_rolls_back_when_candidate_is_slow(stage: Make) -> None:
    scene = stage(new=Behaviour(slow=0.2))
    scene.tick()
    scene.traffic.serve(2_000)
    now = scene.tick()
    assert now.phase is Phase.ROLLED_BACK
    assert finding(now, "latency").verdict is finding(now, "slow").verdict is Verdict.FAIL


def test_release_holds_when_champion_is_as_slow(stage: Make) -> None:
    now = stage(new=Behaviour(slow=0.2), old=Behaviour(slow=0.2)).run(ticks=40)
    assert (now.phase, now.verdict) == (Phase.STEP, Verdict.INCONCLUSIVE)
    assert finding(now, "latency").verdict is Verdict.INCONCLUSIVE


def test_release_holds_without_traffic_and_says_how_much_is_missing(stage: Make) -> None:
    scene = stage()
    scene.tick()
    now = scene.tick()
    assert (now.phase, now.step, now.verdict) == (Phase.STEP, 1, Verdict.INCONCLUSIVE)
    assert "100 more requests" in now.reason
    assert "50 more labels" in now.reason


def test_release_holds_without_labels_however_many_requests_come(stage: Make) -> None:
    now = stage().run(labels=False, ticks=30)
    assert (now.phase, now.step) == (Phase.STEP, 1)
    assert "50 more labels" in now.reason


def test_release_goes_on_without_labels_when_no_step_asks_for_them(stage: Make) -> None:
    now = stage(steps=(StepRule(share=0.2, requests=100),)).run(labels=False)
    assert now.phase is Phase.PROMOTED


def test_release_bakes_by_the_gateways_clock(stage: Make) -> None:
    scene = stage(steps=(StepRule(share=0.5, requests=0, bake_s=30),))
    scene.tick()
    scene.tools.clock.sleep(86_000)  # the wall clock jumps, the gateway's does not
    now = scene.tick()
    assert "30 more seconds" in now.reason
    scene.traffic.age = 31
    assert scene.tick().phase is Phase.PROMOTING


def test_release_asks_a_person_when_nothing_is_decided_for_long(stage: Make) -> None:
    scene = stage(max_hold_s=60)
    scene.tick()
    scene.tools.clock.sleep(61)
    now = scene.tick()
    assert (now.phase, now.paused, now.shares[NEW]) == (Phase.PAUSED, Pause.NO_TRAFFIC, 0.1)
    assert (now.cause, now.verdict) == ("time", Verdict.INCONCLUSIVE)
    scene.traffic.serve(20)
    now = scene.tick()  # requests come again: it goes on, and has another max_hold_s
    assert (now.phase, now.paused, now.since) == (Phase.STEP, None, scene.tools.clock.now())
    scene.tools.clock.sleep(61)
    now = scene.tick()
    assert (now.phase, now.paused) == (Phase.PAUSED, Pause.INCONCLUSIVE)
    assert "a person is asked" in now.reason


def test_paused_release_still_rolls_back(stage: Make) -> None:
    scene = stage(new=Behaviour(errors=0.5), max_hold_s=60)
    scene.tick()
    scene.tools.clock.sleep(61)
    scene.tick()
    scene.traffic.serve(2_000)
    assert scene.tick().phase is Phase.ROLLED_BACK


def test_release_holds_when_gateway_is_silent_and_never_promotes(stage: Make) -> None:
    scene = stage(quality_margin=0.2)
    scene.tick()
    scene.traffic.serve(5_000)
    scene.traffic.silent = True
    for _ in range(5):
        now = scene.tick()
    assert (now.phase, now.step, now.verdict) == (Phase.STEP, 1, Verdict.ERROR)
    scene.traffic.silent = False
    assert scene.tick().step == 2


def test_release_that_nobody_can_measure_rolls_back_after_max_error_s_and_not_before(
    stage: Make,
) -> None:
    scene = stage(max_error_s=60)
    scene.tick()
    scene.traffic.serve(50)
    scene.traffic.age_s = broken = _raises(scene.traffic.age_s)  # routes move, figures do not come
    assert (scene.tick().verdict, scene.last.cause) == (Verdict.ERROR, "gateway")
    scene.tools.clock.sleep(59)
    assert scene.tick().phase is Phase.STEP
    broken.away = False
    assert scene.tick().blind is None  # it answers again: the time begins anew
    broken.away = True
    scene.tick()
    scene.tools.clock.at += 10_000  # another date is no time
    assert scene.tick().phase is Phase.STEP
    scene.tools.clock.started = "second boot"
    scene.tools.clock.sleep(60)
    assert scene.tick().phase is Phase.STEP  # nobody knows how long the machine was off
    scene.tools.clock.sleep(60)
    now = scene.tick()
    assert (now.phase, now.verdict, now.shares) == (Phase.ROLLED_BACK, Verdict.FAIL, {OLD: 1.0})
    assert (now.cause, now.before) == ("gateway", {OLD: 0.9, NEW: 0.1})
    assert "max_error_s): wanted an answer from the gateway" in now.reason


class _raises:  # noqa: N801 - it stands for a function
    """Play a gateway that takes routes and answers nothing."""

    def __init__(self, real: Any) -> None:
        self.real, self.away = real, True

    def __call__(self) -> float:
        if self.away:
            raise Silent
        return float(self.real())


@pytest.mark.parametrize("n", [1, 3])
def test_fail_after_n_looks_means_n(stage: Make, n: int) -> None:
    scene = stage(new=Behaviour(errors=0.9), fail_after=n)
    scene.tick()
    scene.traffic.serve(1_000)
    for look in range(1, n + 1):
        now = scene.tick()
        assert now.fails["errors"] == look
        assert (now.phase is Phase.ROLLED_BACK) == (look == n)


def test_every_record_names_plan_cause_and_shares_before(stage: Make) -> None:
    scene = stage()
    first = scene.tick()
    assert (first.cause, first.before, first.shares[NEW]) == ("approval", {OLD: 1.0}, 0.1)
    assert first.config == digest_json(encode(first.plan))
    assert [step.share for step in first.plan.steps] == [0.1, 0.5]
    ended = scene.run()
    assert (ended.config, ended.plan, ended.cause) == (first.config, first.plan, "promotion")
    assert ended.before == {OLD: 0.5, NEW: 0.5}


def test_plan_outlives_a_change_of_the_steps_and_another_policy_is_refused(stage: Make) -> None:
    scene = stage()
    scene.tick()
    scene.policy = replace(scene.policy, steps=(StepRule(share=0.9, requests=0),))
    assert [step.share for step in scene.tick().plan.steps] == [0.1, 0.5]
    scene.request = replace(scene.request, policy="sha256:other")
    scene.approval = replace(scene.approval, policy="sha256:other")
    with pytest.raises(PlanChanged, match="instar abort"):
        scene.tick()


def test_release_from_before_there_were_plans_goes_on(stage: Make) -> None:
    scene = stage()
    scene.tick()
    old = {k: v for k, v in encode(scene.last).items() if k in BEFORE_PLANS}
    scene.last = decode(Release, old)
    assert scene.last.plan is None
    scene.traffic.serve(100)
    now = scene.tick()
    assert (now.phase, now.step, now.config) == (Phase.STEP, 1, digest_json(encode(now.plan)))
    assert scene.run().phase is Phase.PROMOTED


BEFORE_PLANS = (
    "phase",
    "step",
    "shares",
    "verdict",
    "findings",
    "reason",
    "requests",
    "labels",
    "began_at",
    "since",
    "generation",
    "rehearsed_s",
    "rollback_s",
)


# What people say.


def test_person_pauses_and_only_a_person_lets_it_go_on(stage: Make) -> None:
    scene = stage(steps=(StepRule(share=0.5, requests=50),))
    scene.tick()
    scene.order(OrderKind.PAUSE)
    now = scene.tick()
    assert (now.phase, now.paused, now.orders) == (Phase.PAUSED, Pause.PERSON, 1)
    assert now.cause == "person:bob pauses: seen"
    scene.traffic.serve(500)
    now = scene.tick()
    assert (now.phase, now.verdict) == (Phase.PAUSED, Verdict.PASS)  # the gates go on
    scene.order(OrderKind.RESUME)
    assert (scene.tick().phase, scene.last.paused) == (Phase.STEP, None)
    assert scene.tick().phase is Phase.PROMOTING


def test_release_that_a_person_paused_still_rolls_back(stage: Make) -> None:
    scene = stage(new=Behaviour(errors=0.5))
    scene.tick()
    scene.order(OrderKind.PAUSE)
    scene.tick()
    scene.traffic.serve(2_000)
    now = scene.tick()
    assert (now.phase, now.cause) == (Phase.ROLLED_BACK, "gates")


@pytest.mark.parametrize(
    ("kind", "phase", "step"),
    [(OrderKind.SKIP, Phase.STEP, 2), (OrderKind.PROMOTE, Phase.PROMOTING, 1)],
    ids=["step", "all"],
)
def test_person_ends_a_step_or_all(stage: Make, kind: OrderKind, phase: Phase, step: int) -> None:
    scene = stage()
    scene.tick()
    scene.traffic.serve(10)
    scene.order(kind)
    now = scene.tick()
    assert (now.phase, now.step, now.orders) == (phase, step, 1)
    assert now.cause.startswith("person:bob ")
    assert "requests" in finding(now, "enough").passes_if  # what was missing is in the record


def test_promotion_over_a_failed_gate_wants_its_name(stage: Make) -> None:
    scene = stage(new=Behaviour(slow=1.0))
    scene.tick()
    scene.traffic.serve(2_000)
    scene.order(OrderKind.PROMOTE, lets_pass=("latency", "slow"))
    now = scene.tick()
    failed = {f.code for f in now.findings if f.enforced and f.verdict is Verdict.FAIL}
    assert failed == {"latency", "slow"}
    assert (now.phase, now.cause) == (
        Phase.PROMOTING,
        "person:bob promotes over latency, slow: seen",
    )


def test_promotion_over_a_failed_gate_without_its_name_rolls_back(stage: Make) -> None:
    scene = stage(new=Behaviour(slow=1.0))
    scene.tick()
    scene.traffic.serve(2_000)
    scene.order(OrderKind.PROMOTE, lets_pass=("latency",))
    now = scene.tick()
    assert (now.phase, now.orders, now.cause) == (Phase.ROLLED_BACK, 0, "gates")


def test_promotion_waits_until_something_can_be_measured(stage: Make) -> None:
    scene = stage()
    scene.tick()
    scene.traffic.silent = True
    scene.order(OrderKind.PROMOTE)
    now = scene.tick()
    assert (now.phase, now.verdict, now.orders) == (Phase.STEP, Verdict.ERROR, 0)
    scene.traffic.silent = False
    assert scene.tick().phase is Phase.PROMOTING


def test_release_stays_pending_when_gateway_is_silent_at_the_start(stage: Make) -> None:
    scene = stage()
    scene.traffic.silent = True
    assert (scene.tick().phase, scene.last.verdict) == (Phase.PENDING, Verdict.ERROR)
    scene.traffic.silent = False
    assert scene.tick().phase is Phase.STEP


def test_release_rolls_back_when_candidate_cannot_be_loaded(stage: Make) -> None:
    scene = stage()
    scene.traffic.broken = {NEW}
    now = scene.tick()
    assert (now.phase, now.verdict) == (Phase.ROLLED_BACK, Verdict.FAIL)
    assert scene.traffic.route().shares == {OLD: 1.0}
    assert "a broken bundle" in now.reason


def test_aborting_release_tries_again_until_the_traffic_is_home(stage: Make) -> None:
    scene = stage(new=Behaviour(errors=1.0))
    scene.tick()
    scene.traffic.serve(1_000)
    real_move = scene.traffic.move

    def hang(route: Any) -> float:
        scene.traffic.silent = True
        return float(real_move(route))

    scene.traffic.move = hang
    now = scene.tick()
    assert (now.phase, now.verdict) == (Phase.ABORTING, Verdict.ERROR)
    assert scene.traffic.route().shares == {OLD: 1.0}
    scene.traffic.silent, scene.traffic.move = False, real_move
    now = scene.tick()
    assert (now.phase, now.verdict) == (Phase.ROLLED_BACK, Verdict.FAIL)
    assert "errors" in now.reason


def test_release_ends_when_a_person_gave_the_traffic_back(stage: Make) -> None:
    scene = stage()
    scene.tick()
    rollback(scene.traffic, scene.champion)
    now = scene.tick()
    assert now.phase is Phase.ROLLED_BACK
    assert now.reason.startswith("by_hand")


def test_rollback_twice_leaves_the_same_shares(stage: Make) -> None:
    scene = stage()
    scene.tick()
    rollback(scene.traffic, scene.champion)
    once = scene.traffic.route()
    rollback(scene.traffic, scene.champion)
    twice = scene.traffic.route()
    assert once.shares == twice.shares == {OLD: 1.0}
    assert once.warm == twice.warm == (NEW,)


def test_ended_release_is_left_alone(stage: Make) -> None:
    scene = stage()
    ended = scene.run()
    moves = len(scene.traffic.moves)
    assert scene.tick() is ended
    assert len(scene.traffic.moves) == moves


def test_release_begun_again_after_a_crash_is_the_same(stage: Make) -> None:
    scene = stage()
    first = scene.tick()
    scene.last = None  # the record was lost, the traffic had moved
    second = scene.tick()
    assert (second.phase, second.step, second.shares) == (first.phase, first.step, first.shares)


def test_blue_green_previews_without_traffic_then_takes_all(stage: Make) -> None:
    scene = stage(strategy="blue_green")
    assert scene.tick().shares == {OLD: 1.0}
    assert NEW in scene.traffic.route().warm
    assert scene.tick().shares == {NEW: 1.0}
    assert scene.traffic.route().champion == OLD
    assert scene.run().phase is Phase.PROMOTED


def test_blue_green_goes_back_to_the_warm_version(stage: Make) -> None:
    scene = stage(strategy="blue_green", new=Behaviour(errors=0.3))
    assert scene.run().phase is Phase.ROLLED_BACK


def test_blue_green_judges_the_preview_by_requests_that_name_the_candidate(stage: Make) -> None:
    scene = stage(strategy="blue_green", new=Behaviour(errors=0.5), preview=60)
    scene.tick()
    scene.traffic.serve(500)  # the champion's, as before
    now = scene.tick()
    assert (now.step, "60 more requests" in now.reason) == (1, True)
    scene.traffic.ask(NEW, 200)
    now = scene.tick()
    assert (now.phase, now.requests) == (Phase.ROLLED_BACK, 200)
    assert now.reason.startswith("errors")
    assert all(NEW not in route.shares for route in scene.traffic.moves)  # nobody was routed to it


def test_blue_green_whose_preview_is_good_switches(stage: Make) -> None:
    scene = stage(strategy="blue_green", preview=60)
    scene.tick()
    scene.traffic.ask(NEW, 60)
    assert scene.tick().shares == {NEW: 1.0}
    now = scene.tick()
    assert "requests" in now.reason  # what named it does not count after the switch


def test_ab_promotes_what_labels_show_to_be_better_and_rolls_back_what_is_worse(
    stage: Make,
) -> None:
    better = stage(strategy="ab", new=Behaviour(noise=0.0), old=Behaviour(noise=0.6))
    now = better.run(each=400)
    assert (now.phase, finding(now, "quality").answer) == (Phase.PROMOTED, Comparison.BETTER)
    assert now.plan.strategy == "ab"
    worse = stage(strategy="ab", new=Behaviour(noise=0.6))
    assert worse.run(each=400).phase is Phase.ROLLED_BACK


def test_all_at_once_promotes_after_the_rehearsal(stage: Make) -> None:
    scene = stage(strategy="all_at_once")
    now = scene.tick()
    assert (now.phase, now.rehearsed_s) == (Phase.PROMOTING, pytest.approx(0.02))
    assert scene.tick().phase is Phase.PROMOTED


@pytest.mark.parametrize("part", ["bundle", "validation", "policy"])
def test_release_under_an_approval_of_other_digests_is_refused(stage: Make, part: str) -> None:
    scene = stage()
    scene.approval = replace(scene.approval, **{part: "sha256:another"})
    with pytest.raises(NotApproved, match=f"one of another .*{part}"):
        scene.tick()
    assert len(scene.traffic.moves) == 1


def test_change_of_the_validation_after_the_approval_voids_it(stage: Make) -> None:
    scene = stage()
    scene.validation = replace(scene.validation, candidate={"auroc": 0.9})
    with pytest.raises(NotApproved, match="another validation"):
        scene.tick()
    assert len(scene.traffic.moves) == 1


def test_release_under_an_approval_that_has_expired_is_refused(stage: Make) -> None:
    scene = stage()
    scene.approval = replace(scene.approval, expires_at=scene.tools.clock.now() - 1)
    with pytest.raises(NotApproved, match="expired"):
        scene.tick()
    assert len(scene.traffic.moves) == 1


def test_release_under_way_outlives_its_approval(stage: Make) -> None:
    scene = stage()
    scene.approval = replace(scene.approval, expires_at=scene.tools.clock.now() + 1)
    scene.tick()
    scene.tools.clock.sleep(60)
    assert scene.tick().phase is Phase.STEP


def test_step_with_labels_holds_until_not_worse_is_shown(stage: Make) -> None:
    scene = stage(steps=(StepRule(share=0.5, requests=10, labels=10),), quality_margin=0.01)
    scene.tick()
    scene.traffic.serve(400)
    held = scene.tick()
    assert (held.phase, finding(held, "quality").answer) == (Phase.STEP, Comparison.CANNOT_TELL)
    assert "more labels" in held.reason


def test_release_without_a_gateway_is_refused(stage: Make) -> None:
    scene = stage()
    scene.tools = replace(scene.tools, traffic=None)
    with pytest.raises(NoTraffic):
        scene.tick()


def test_release_record_survives_the_ledger(stage: Make) -> None:
    now = stage().run()
    assert decode(Release, encode(now)).shares == now.shares


def test_release_of_an_equal_candidate_is_rarely_rolled_back(stage: Make) -> None:
    wrong = 0
    bad = Behaviour(errors=0.01)
    for seed in range(40):
        now = stage(new=bad, old=bad, seed=seed, errors=0.05, quality_margin=0.1).run(each=400)
        wrong += now.phase is Phase.ROLLED_BACK
    assert wrong <= 4  # 5 % of 40 are 2; more than 4 happen once in twenty


# Whose candidate it is.


def signed_candidate(scene: Any, signer: FakeSigner) -> None:
    artifacts = scene.tools.artifacts
    manifest = tiny_bundle(artifacts, NEW)
    signature = trust.sign(artifacts, manifest, signer)
    scene.candidate = replace(scene.candidate, manifest=manifest, signature=signature)
    scene.validation = replace(scene.validation, bundle=manifest)
    seen = digest_json(encode(scene.validation))
    scene.approval = replace(scene.approval, bundle=manifest, validation=seen)


def test_signed_candidate_begins_and_the_route_names_its_signature(stage: Make) -> None:
    scene = stage()
    signer = FakeSigner(5)
    signed_candidate(scene, signer)
    scene.tools = replace(scene.tools, signer=signer)
    assert scene.tick().phase is Phase.STEP
    assert scene.traffic.route().signatures[NEW] == scene.candidate.signature
    scene.run()
    assert dict(scene.traffic.route().signatures) == {NEW: scene.candidate.signature}


@pytest.mark.parametrize("how", ["unsigned", "by another key", "no key here", "damaged"])
def test_candidate_that_nobody_trusted_signed_gets_no_traffic(stage: Make, how: str) -> None:
    scene = stage()
    signed_candidate(scene, FakeSigner(5))
    signer = FakeSigner(6 if how == "by another key" else 5)
    scene.tools = replace(scene.tools, signer=None if how == "no key here" else signer)
    if how == "unsigned":
        scene.candidate = replace(scene.candidate, signature=None)
    if how == "damaged":
        kept = scene.tools.artifacts.kept
        del kept[max(kept, key=lambda digest: len(kept[digest]))]
    before = list(scene.traffic.moves)
    with pytest.raises(IntegrityError):
        scene.tick()
    assert scene.traffic.moves == before
