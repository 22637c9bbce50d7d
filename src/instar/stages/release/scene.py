"""Who takes part in a release, what it will do, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from instar.core.codec import encode
from instar.core.digest import digest_json
from instar.core.errors import IntegrityError
from instar.core.finding import Verdict
from instar.core.policy import ReleasePolicy, ShadowRule, StepRule
from instar.core.records import (
    Bundle,
    ModelVersion,
    Order,
    Orders,
    Phase,
    Release,
    ReleasePlan,
    Request,
)
from instar.core.tools import Clock, Traffic
from instar.stages.release.gates import ALPHA, GATES
from instar.stages.release.losses import loss_of, metric_of
from instar.stages.release.phases import State
from instar.stages.release.strategies import STRATEGIES
from instar.stages.release.strategies.shadow import shadow_of


class PlanChanged(IntegrityError):
    """Refuse to go on with a release under another policy than its plan was made of."""

    code = "release.plan_changed"

    def __init__(self, candidate: str) -> None:
        super().__init__(
            f"the policy that the release of {candidate} was planned with",
            "another one",
            "withdraw it: instar abort UPDATE --reason WHY",
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a tick goes by. `last` is the last record, `idle` that no request came."""

    traffic: Traffic
    clock: Clock
    champion: ModelVersion
    candidate: Bundle
    policy: ReleasePolicy
    plan: ReleasePlan
    last: Release
    orders: Orders = ()
    idle: bool = False

    @property
    def steps(self) -> tuple[StepRule, ...]:
        return self.plan.steps

    @property
    def shadow(self) -> ShadowRule | None:
        """The rule of the shadow before the first step; None where there is none."""
        return shadow_of(self.policy)

    @property
    def state(self) -> State:
        return self.last.paused or self.last.phase

    @property
    def order(self) -> Order | None:
        """The oldest order that nobody has heeded."""
        left = self.orders[self.last.orders :]
        return left[0] if left else None

    @property
    def overdue(self) -> bool:
        """A jump of the wall clock may ask a person too early; it decides nothing else."""
        return self.clock.now() - self.last.since > self.policy.max_hold_s

    @property
    def blind(self) -> bool:
        """Tell whether nothing could be measured for too long; a changed date does not count."""
        boot, now = self.clock.boot()
        if self.last.blind is None or self.last.blind[0] != boot or not self.policy.max_error_s:
            return False
        return now - self.last.blind[1] >= self.policy.max_error_s


def planned(
    request: Request, champion: ModelVersion, candidate: Bundle, policy: ReleasePolicy
) -> ReleasePlan:
    """Write down what a release will do, before it does anything.

    Raises:
        PolicyError: live quality or metric do not fit the task.
    """
    loss_of(policy.quality, champion)
    metric_of(policy.window_metric, champion)
    return ReleasePlan(
        champion=champion.name,
        candidate=candidate.version,
        strategy=policy.strategy,
        steps=STRATEGIES[policy.strategy](policy),
        gates={name: policy.alpha * ALPHA.get(name, 0.0) for name in GATES},
        policy=request.policy,
        arrival=policy.arrival,
    )


def under_way(plan: ReleasePlan, last: Release, request: Request) -> Release:
    """See that a release goes on as it was planned; one from before there were plans gets one.

    Raises:
        PlanChanged: it was planned under another policy.
    """
    if last.plan is None:
        return replace(last, plan=plan, config=digest_json(encode(plan)))
    if last.plan.policy != request.policy:
        raise PlanChanged(last.plan.candidate)
    return last


def pending(plan: ReleasePlan, now: float) -> Release:
    """Make the record of a release that has done nothing yet."""
    return Release(
        phase=Phase.PENDING,
        step=0,
        shares={plan.champion: 1.0},
        verdict=Verdict.INCONCLUSIVE,
        findings=(),
        reason="not begun",
        began_at=now,
        since=now,
        plan=plan,
        config=digest_json(encode(plan)),
    )
