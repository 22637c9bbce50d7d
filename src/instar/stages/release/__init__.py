"""Traffic moves from the champion to the candidate, step by step, with a way back.

A reconciler: each call is one tick, which looks, decides by the table of `phases` and acts.
It keeps nothing between ticks but its last record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from instar.bundle import trust
from instar.core.codec import encode
from instar.core.digest import digest_json
from instar.core.errors import BackendError, IntegrityError, NoTraffic
from instar.core.finding import Verdict
from instar.core.policy import ReleasePolicy, ShadowRule
from instar.core.records import (
    Approval,
    Bundle,
    ModelVersion,
    OrderKind,
    Orders,
    Pause,
    Phase,
    Release,
    Request,
    Validation,
)
from instar.core.tools import Tools
from instar.stages.release import traffic as moves
from instar.stages.release.evidence import gather
from instar.stages.release.gates import GATES, look
from instar.stages.release.losses import LOSSES
from instar.stages.release.phases import ENDED, Action, Event, decide, event, heeded, judge
from instar.stages.release.scene import Scene, pending, planned, under_way
from instar.stages.release.strategies import STRATEGIES
from instar.stages.release.strategies.shadow import as_step
from instar.stages.release.told import BY_HAND, GATEWAY, cause, reason, trouble
from instar.stages.release.traffic import rollback

__all__ = ["GATES", "LOSSES", "STRATEGIES", "release", "rollback"]


class NotApproved(IntegrityError):
    """Refuse to release a bundle that nobody approved."""

    code = "release.not_approved"

    def __init__(self, bundle: str, got: str) -> None:
        super().__init__(f"an approval of {bundle}", got, "ask for one: instar approve")


def release(
    request: Request,
    champion: ModelVersion,
    bundle: Bundle,
    validation: Validation,
    approval: Approval,
    orders: Orders,
    last: Release | None,
    *,
    policy: ReleasePolicy,
    tools: Tools,
) -> Release:
    """Take one look, and one step where the evidence allows it.

    The first tick loads the candidate, rehearses the way back and makes the first step. A gate
    with proof of harm rolls back in the tick that sees it; too little evidence and a silent
    gateway hold. After the last step the phase is `promoting`: the caller records the promotion
    and calls again, which moves all traffic and keeps the old version warm. Of the people's
    `orders` one is heeded in a tick, the oldest.

    Raises:
        NotApproved: the approval is not of this bundle, validation and policy, digest by digest.
        IntegrityError: the bundle is damaged, or no trusted key signed it.
        PlanChanged: the release began under another policy.
        NoTraffic: `tools` lends no gateway.
    """
    if approval.verdict is not Verdict.PASS:
        raise NotApproved(bundle.version, approval.verdict.value)
    bound = {
        "bundle": (approval.bundle, bundle.manifest),
        "bundle in the validation": (validation.bundle, bundle.manifest),
        "validation": (approval.validation, digest_json(encode(validation))),
        "policy": (approval.policy, request.policy),
    }
    if other := [name for name, (seen, now) in bound.items() if seen != now]:
        raise NotApproved(bundle.version, f"one of another {', '.join(other)}")
    if last is None and (approval.expires_at or math.inf) < tools.clock.now():
        raise NotApproved(bundle.version, "one that has expired")
    if tools.traffic is None:
        raise NoTraffic
    if last is None:
        keys = tools.signer.trusted if tools.signer else ()
        trust.verify(tools.artifacts, bundle.manifest, bundle.signature, keys)
    if last is not None and last.phase in ENDED:
        return last
    plan = planned(request, champion, bundle, policy)
    now = pending(plan, tools.clock.now()) if last is None else under_way(plan, last, request)
    scene = Scene(
        tools.traffic, tools.clock, champion, bundle, policy, now.plan or plan, now, orders
    )
    return _stamped(scene, _tick(_look(scene)))


def _look(scene: Scene) -> Scene:
    """Put what the gates say now into the last record's place."""
    last = scene.last
    if last.phase in (Phase.PENDING, Phase.PROMOTING, Phase.ABORTING):
        verdict = Verdict.ERROR if last.phase is Phase.ABORTING else Verdict.PASS
        kept = tuple(finding for finding in last.findings if finding.code != GATEWAY)
        return replace(scene, last=replace(last, verdict=verdict, findings=kept))
    try:
        return _judged(scene)
    except BackendError as error:
        finding = trouble(error, Verdict.ERROR)
        return replace(scene, last=replace(last, verdict=Verdict.ERROR, findings=(finding,)))


def _judged(scene: Scene) -> Scene:
    last, name = scene.last, scene.candidate.version
    route = scene.traffic.route()
    shadowed = scene.shadow if last.step == 0 else None
    there = route.shadow if shadowed else route.shares
    if (shadowed or last.shares.get(name)) and not there.get(name):
        return replace(scene, last=replace(last, verdict=Verdict.FAIL, findings=(BY_HAND,)))
    step = as_step(shadowed) if shadowed else scene.steps[last.step - 1]
    evidence = gather(
        scene.traffic, route, scene.champion, scene.candidate, last, step, scene.policy
    )
    findings = tuple(look(evidence, scene.policy, scene.plan.gates))
    failed = [f.code for f in findings if f.enforced and f.verdict is Verdict.FAIL]
    fails = {**last.fails, **{code: last.fails.get(code, 0) + 1 for code in failed}}
    order = scene.order
    verdict = judge(
        findings,
        fails,
        fail_after=scene.policy.fail_after,
        lets_pass=order.lets_pass if order and order.kind is OrderKind.PROMOTE else (),
    )
    seen = replace(
        last,
        verdict=verdict,
        findings=findings,
        fails=fails,
        requests=evidence.candidate.requests,
        labels=int(evidence.answers.candidate.sum()),
    )
    return replace(scene, last=seen, idle=evidence.idle)


def _tick(scene: Scene) -> Release:
    last, order = scene.last, scene.order
    found = event(
        last.verdict,
        order.kind if order else None,
        last_step=last.step >= len(scene.steps),
        overdue=scene.overdue,
        idle=scene.idle,
        blind=scene.blind,
    )
    state, action = decide(scene.state, found, shadow=scene.shadow is not None)
    try:
        changes = _ACTS[action](scene)
    except BackendError as error:
        return _hindered(scene, found, action, error)
    if scene.last.paused and state is Phase.STEP and action is Action.HOLD:
        changes = {"since": scene.clock.now()}  # who lets it go on gives it another max_hold_s
    paused = state if isinstance(state, Pause) else None
    phase = Phase.PAUSED if paused else state
    if phase is Phase.STEP and action is Action.HOLD and last.step == 0:
        phase = Phase.SHADOW  # a pause ended before the first step
    taken = order is not None and heeded(last.verdict, order.kind)
    changes = {"phase": phase, "paused": paused, "orders": last.orders + taken, **changes}
    now: Release = replace(last, **changes)
    return replace(
        now,
        cause=cause(scene, found),
        reason=reason(now, action, scene, found),
        verdict=Verdict.FAIL if found is Event.BLIND else now.verdict,
    )


def _hindered(scene: Scene, found: Event, action: Action, error: BackendError) -> Release:
    """Answer a move that did not happen: try again, or go back if trying again is of no use."""
    again = error.retryable or action in (Action.ROLL_BACK, Action.FINISH)
    verdict = Verdict.ERROR if again else Verdict.FAIL
    findings = (*scene.last.findings, trouble(error, verdict))
    last = replace(scene.last, verdict=verdict, findings=findings, reason=str(error))
    if action is Action.ROLL_BACK:
        return replace(last, phase=Phase.ABORTING, paused=None, cause=cause(scene, found))
    return replace(last, cause="gateway") if again else _tick(replace(scene, last=last))


def _stamped(scene: Scene, now: Release) -> Release:
    """Note the shares before, and since when nothing could be measured."""
    was, (boot, seconds) = scene.last, scene.clock.boot()
    blind = was.blind if was.blind and was.blind[0] == boot else (boot, seconds)
    return replace(
        now, before=dict(was.shares), blind=blind if now.verdict is Verdict.ERROR else None
    )


def _begin(scene: Scene) -> dict[str, Any]:
    rehearsed = moves.begin(scene.traffic, scene.champion, scene.candidate)
    if not scene.steps:
        return {"rehearsed_s": rehearsed, "generation": scene.traffic.route().generation}
    changes = _advance(scene)
    return {**changes, "rehearsed_s": rehearsed}


def _shadow(scene: Scene) -> dict[str, Any]:
    rehearsed = moves.begin(scene.traffic, scene.champion, scene.candidate)
    rule = scene.shadow or ShadowRule()
    route = moves.shadow(scene.traffic, scene.candidate, rule.share, rule.tolerance)
    since = scene.clock.now()
    return {"rehearsed_s": rehearsed, "since": since, "generation": route.generation}


def _advance(scene: Scene) -> dict[str, Any]:
    step = scene.steps[scene.last.step]
    route = moves.share(scene.traffic, scene.champion, scene.candidate, step.share)
    return {
        "step": scene.last.step + 1,
        "shares": dict(route.shares),
        "since": scene.clock.now(),
        "generation": scene.last.generation or route.generation,
    }


def _finish(scene: Scene) -> dict[str, Any]:
    route = moves.finish(scene.traffic, scene.champion, scene.candidate)
    return {"shares": dict(route.shares), "since": scene.clock.now()}


def _roll_back(scene: Scene) -> dict[str, Any]:
    seconds = rollback(scene.traffic, scene.champion)
    return {
        "phase": Phase.ROLLED_BACK,
        "verdict": Verdict.FAIL,
        "shares": {scene.champion.name: 1.0},
        "since": scene.clock.now(),
        "rollback_s": seconds,
    }


_ACTS: Mapping[Action, Callable[[Scene], dict[str, Any]]] = {
    Action.HOLD: lambda _: {},
    Action.BEGIN: _begin,
    Action.ADVANCE: _advance,
    Action.FINISH: _finish,
    Action.ROLL_BACK: _roll_back,
    Action.SHADOW: _shadow,
}
