"""A shadow first, which answers nobody; then all traffic at once, the old version kept warm."""

from __future__ import annotations

from dataclasses import replace

from instar.core.policy import ReleasePolicy, ShadowRule, StepRule

_SHARE = 0.1  # of requests, where the policy names none


def shadow(policy: ReleasePolicy) -> tuple[StepRule, ...]:
    """Compare in the shadow; then all traffic under the last step's minima.

    With all traffic on one side there is nobody to compare with: from there on only the tripwires
    judge. Any other strategy has a shadow before its first step, too, where the policy gives it a
    share.

    Example:
        >>> [step.share for step in shadow(ReleasePolicy())]
        [1.0]
    """
    last = policy.steps[-1] if policy.steps else StepRule()
    return (replace(last, share=1.0, labels=0),)


def shadow_of(policy: ReleasePolicy) -> ShadowRule | None:
    """Give the rule of the shadow before the first step; None where there is none.

    Example:
        >>> shadow_of(ReleasePolicy()) is None
        True
        >>> shadow_of(ReleasePolicy(strategy="shadow")).share
        0.1
    """
    rule = policy.shadow
    if rule.share:
        return rule
    return replace(rule, share=_SHARE) if policy.strategy == "shadow" else None


def as_step(rule: ShadowRule) -> StepRule:
    """Put the minima of a shadow as those of a step without traffic."""
    return StepRule(share=0.0, requests=rule.requests)
