"""A preview without traffic, then all of it at once, the old version kept warm."""

from __future__ import annotations

from dataclasses import replace

from instar.core.policy import ReleasePolicy, StepRule


def blue_green(policy: ReleasePolicy) -> tuple[StepRule, ...]:
    """Preview for the first step's bake time; then all traffic, under the last step's minima.

    The tripwires judge before the switch, by the `preview` requests that name the candidate, and
    after it. With all traffic on one side there is nobody to compare with, and labels cannot be
    waited for.

    Example:
        >>> [step.share for step in blue_green(ReleasePolicy())]
        [0.0, 1.0]
    """
    if not policy.steps:
        return (StepRule(share=0.0, requests=policy.preview), StepRule())
    first, last = policy.steps[0], policy.steps[-1]
    preview = StepRule(share=0.0, requests=policy.preview, labels=0, bake_s=first.bake_s)
    return (preview, replace(last, share=1.0, labels=0))
