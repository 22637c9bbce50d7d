"""Traffic moves from the champion to the candidate, step by step, with a way back.

A reconciler: each call is one tick, which looks, decides by the table of `phases` and acts.
It keeps nothing between ticks but its last record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from instar.bundle import trust
from instar.core.codec import encode
from instar.core.digest import digest_json
from instar.core.errors import BackendError, IntegrityError, NoTraffic
from instar.core.finding import Finding, Verdict
from instar.core.policy import ReleasePolicy, ShadowRule, StepRule
from instar.core.records import (
    Approval,
    Bundle,
    ModelVersion,
    Phase,
    Release,
    Request,
    Validation,
)
from instar.core.tools import Clock, Tools, Traffic
from instar.stages.release import traffic as moves
from instar.stages.release.evidence import gather
from instar.stages.release.gates import GATES, look
from instar.stages.release.losses import LOSSES
from instar.stages.release.phases import ENDED, Action, decide, judge
from instar.stages.release.strategies import STRATEGIES
from instar.stages.release.strategies.shadow import as_step, shadow_of
from instar.stages.release.traffic import rollback

__all__ = ["GATES", "LOSSES", "STRATEGIES", "release", "rollback"]


class NotApproved(IntegrityError):
    """Refuse to release a bundle that nobody approved."""

    code = "release.not_approved"

    def __init__(self, bundle: str, got: str) -> None:
        super().__init__(f"an approval of {bundle}", got, "ask for one: instar approve")


@dataclass(frozen=True, slots=True)
class Scene:
    """Who takes part in a release, and where it stands."""

    traffic: Traffic
    clock: Clock
    champion: ModelVersion
    candidate: Bundle
    policy: ReleasePolicy
    steps: tuple[StepRule, ...]
    last: Release

    @property
    def shadow(self) -> ShadowRule | None:
        """The rule of the shadow before the first step; None where there is none."""
        return shadow_of(self.policy)

    @property
    def overdue(self) -> bool:
        """A jump of the wall clock may ask a person too early; it decides nothing else."""
        return self.clock.now() - self.last.since > self.policy.max_hold_s


def release(
    request: Request,
    champion: ModelVersion,
    bundle: Bundle,
    validation: Validation,
    approval: Approval,
    last: Release | None,
    *,
    policy: ReleasePolicy,
    tools: Tools,
) -> Release:
    """Take one look, and one step where the evidence allows it.

    The first tick loads the candidate, rehearses the way back and makes the first step. A gate
    with proof of harm rolls back in the tick that sees it; too little evidence and a silent
    gateway hold. After the last step the phase is `promoting`: the caller records the promotion
    and calls again, which moves all traffic and keeps the old version warm.

    Raises:
        NotApproved: the approval is not of this bundle, validation and policy, digest by digest.
        IntegrityError: the bundle is damaged, or no trusted key signed it.
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
    steps = STRATEGIES[policy.strategy](policy)
    now = last or _pending(champion, tools.clock.now())
    scene = Scene(tools.traffic, tools.clock, champion, bundle, policy, steps, now)
    return _tick(_look(scene))


def _pending(champion: ModelVersion, now: float) -> Release:
    return Release(
        phase=Phase.PENDING,
        step=0,
        shares={champion.name: 1.0},
        verdict=Verdict.INCONCLUSIVE,
        findings=(),
        reason="not begun",
        began_at=now,
        since=now,
    )


def _look(scene: Scene) -> Scene:
    """Put what the gates say now into the last record's place."""
    last = scene.last
    if last.phase in (Phase.PENDING, Phase.PROMOTING, Phase.ABORTING):
        verdict = Verdict.ERROR if last.phase is Phase.ABORTING else Verdict.PASS
        kept = tuple(finding for finding in last.findings if finding.code != _GATEWAY)
        return replace(scene, last=replace(last, verdict=verdict, findings=kept))
    try:
        return replace(scene, last=_judged(scene))
    except BackendError as error:
        finding = _trouble(error, Verdict.ERROR)
        return replace(scene, last=replace(last, verdict=Verdict.ERROR, findings=(finding,)))


def _judged(scene: Scene) -> Release:
    last, name = scene.last, scene.candidate.version
    route = scene.traffic.route()
    shadowed = last.step == 0 and scene.shadow is not None
    there = route.shadow if shadowed else route.shares
    if (shadowed or last.shares.get(name)) and not there.get(name):
        return replace(last, verdict=Verdict.FAIL, findings=(_BY_HAND,))
    step = as_step(scene.shadow) if shadowed and scene.shadow else scene.steps[last.step - 1]
    evidence = gather(
        scene.traffic, route, scene.champion, scene.candidate, last, step, scene.policy
    )
    findings = tuple(look(evidence, scene.policy))
    return replace(
        last,
        verdict=judge(findings),
        findings=findings,
        requests=evidence.candidate.requests,
        labels=int(evidence.answers.candidate.sum()),
    )


def _tick(scene: Scene) -> Release:
    last = scene.last
    ended = last.step >= len(scene.steps)
    phase, action = decide(
        last.phase,
        last.verdict,
        last_step=ended,
        overdue=scene.overdue,
        shadow=scene.shadow is not None,
    )
    try:
        changes = {"phase": phase, **_ACTS[action](scene)}
    except BackendError as error:
        return _hindered(scene, action, error)
    now: Release = replace(last, **changes)
    return replace(now, reason=_reason(now, action, scene))


def _hindered(scene: Scene, action: Action, error: BackendError) -> Release:
    """Answer a move that did not happen: try again, or go back if trying again is of no use."""
    again = error.retryable or action in (Action.ROLL_BACK, Action.FINISH)
    verdict = Verdict.ERROR if again else Verdict.FAIL
    findings = (*scene.last.findings, _trouble(error, verdict))
    last = replace(scene.last, verdict=verdict, findings=findings, reason=str(error))
    if action is Action.ROLL_BACK:
        return replace(last, phase=Phase.ABORTING)
    return last if again else _tick(replace(scene, last=last))


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

_GATEWAY = "gateway"
_BY_HAND = Finding(
    code="by_hand",
    verdict=Verdict.FAIL,
    message="somebody gave all traffic back to the champion",
    passes_if="a new update",
)


def _trouble(error: BackendError, verdict: Verdict) -> Finding:
    return Finding(_GATEWAY, verdict, str(error), passes_if=error.todo)


def _reason(now: Release, action: Action, scene: Scene) -> str:
    if now.phase is Phase.ROLLED_BACK:
        failed = [f for f in now.findings if f.enforced and f.verdict is Verdict.FAIL]
        return "; ".join(f"{f.code}: {f.message}" for f in failed) or now.reason
    if now.phase is Phase.PROMOTING:
        return "every step is over"
    if now.phase is Phase.PROMOTED:
        return f"all traffic is with {scene.candidate.version}; {scene.champion.name} stays warm"
    if action is Action.SHADOW and scene.shadow:
        return f"in the shadow: compared on {scene.shadow.share:.4g} of the requests"
    if action in (Action.BEGIN, Action.ADVANCE):
        part = now.shares.get(scene.candidate.version, 0.0)
        return f"step {now.step} of {len(scene.steps)}: {part:.4g} of the traffic"
    open_still = [_open(finding) for finding in now.findings if finding.enforced]
    waiting = "; ".join(part for part in open_still if part)
    return f"a person is asked: {waiting}" if now.phase is Phase.PAUSED else waiting


def _open(finding: Finding) -> str:
    if finding.verdict is Verdict.INCONCLUSIVE:
        return f"{finding.code} waits for {finding.passes_if}"
    return finding.message if finding.verdict is Verdict.ERROR else ""
