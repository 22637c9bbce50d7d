"""A growing share of the traffic, step by step, beside the champion."""

from __future__ import annotations

from collections.abc import Callable

from instar.core.policy import ReleasePolicy, StepRule

Strategy = Callable[[ReleasePolicy], tuple[StepRule, ...]]


def canary(policy: ReleasePolicy) -> tuple[StepRule, ...]:
    """Take the steps of the policy.

    Example:
        >>> [step.share for step in canary(ReleasePolicy())]
        [0.01, 0.05, 0.25, 0.5]
    """
    return policy.steps
