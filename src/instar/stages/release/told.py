"""What a release says of itself: why it moved, who moved it, and what it waits for."""

from __future__ import annotations

from instar.core.errors import BackendError
from instar.core.finding import Finding, Verdict
from instar.core.records import OrderKind, Pause, Phase, Release
from instar.stages.release.phases import Action, Event, heeded
from instar.stages.release.scene import Scene

GATEWAY = "gateway"
BY_HAND = Finding(
    code="by_hand",
    verdict=Verdict.FAIL,
    message="somebody gave all traffic back to the champion",
    passes_if="a new update",
)

_SAID = {
    OrderKind.PAUSE: "pauses",
    OrderKind.RESUME: "resumes",
    OrderKind.SKIP: "ends the step",
    OrderKind.PROMOTE: "promotes",
}
_PAUSED = {
    Pause.INCONCLUSIVE: "a person is asked",
    Pause.PERSON: "paused by a person",
    Pause.NO_TRAFFIC: "no request comes; it goes on as soon as some do",
}


def trouble(error: BackendError, verdict: Verdict) -> Finding:
    """Turn a gateway's failure into a finding."""
    return Finding(GATEWAY, verdict, str(error), passes_if=error.todo)


def cause(scene: Scene, found: Event) -> str:
    """Name who or what moved a release."""
    if scene.last.phase is Phase.ABORTING:
        return scene.last.cause
    order = scene.order
    if order is not None and heeded(scene.last.verdict, order.kind):
        why = f": {order.reason}" if order.reason else ""
        over = f" over {', '.join(order.lets_pass)}" if order.lets_pass else ""
        return f"{order.by} {_SAID[order.kind]}{over}{why}"
    if found in (Event.OVERDUE, Event.IDLE):
        return "time"
    if found in (Event.BLIND, Event.ERROR):
        return "gateway"
    if scene.last.phase is Phase.PENDING:
        return "approval"
    return "promotion" if scene.last.phase is Phase.PROMOTING else "gates"


def reason(now: Release, action: Action, scene: Scene, found: Event) -> str:
    """Say in words where a release stands, and what it waits for."""
    if now.phase is Phase.ROLLED_BACK:
        return _back(now, scene, found)
    if now.phase is Phase.PROMOTING:
        return _over(scene, found)
    if now.phase is Phase.PROMOTED:
        return f"all traffic is with {scene.candidate.version}; {scene.champion.name} stays warm"
    if action is Action.SHADOW and scene.shadow:
        return f"in the shadow: compared on {scene.shadow.share:.4g} of the requests"
    if action in (Action.BEGIN, Action.ADVANCE):
        part = now.shares.get(scene.candidate.version, 0.0)
        return f"step {now.step} of {len(scene.steps)}: {part:.4g} of the traffic"
    open_still = [_open(finding, now) for finding in now.findings if finding.enforced]
    waiting = "; ".join(part for part in open_still if part)
    if now.paused:
        return f"{_PAUSED[now.paused]}: {waiting}".removesuffix(": ")
    return waiting or "goes on"


def _back(now: Release, scene: Scene, found: Event) -> str:
    failed = [f for f in now.findings if f.enforced and f.verdict is Verdict.FAIL]
    if found is Event.BLIND and not failed:
        why = [f.message for f in now.findings if f.enforced and f.verdict is Verdict.ERROR]
        seconds = scene.policy.max_error_s
        return f"nothing could be measured for {seconds:g} s (max_error_s): {'; '.join(why)}"
    return "; ".join(f"{f.code}: {f.message}" for f in failed) or now.reason


def _over(scene: Scene, found: Event) -> str:
    if found is not Event.PROMOTE:
        return "every step is over"
    left = len(scene.steps) - scene.last.step
    return f"a person ends the release at step {scene.last.step}; {left} more were planned"


def _open(finding: Finding, now: Release) -> str:
    if finding.verdict is Verdict.INCONCLUSIVE:
        return f"{finding.code} waits for {finding.passes_if}"
    if finding.verdict is Verdict.FAIL:
        return f"{finding.code} failed in {now.fails.get(finding.code, 0)} looks"
    return finding.message if finding.verdict is Verdict.ERROR else ""
