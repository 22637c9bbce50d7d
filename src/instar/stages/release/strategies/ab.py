"""Half of the traffic each, until the labels have decided."""

from __future__ import annotations

from dataclasses import replace

from instar.core.policy import ReleasePolicy, StepRule


def ab(policy: ReleasePolicy) -> tuple[StepRule, ...]:
    """Split 50:50 under the last step's minima, with labels in any case.

    The comparison may be looked at as often as one likes; that the split is as planned is
    watched beside it.

    Example:
        >>> [(step.share, step.labels) for step in ab(ReleasePolicy())]
        [(0.5, 100)]
    """
    last = policy.steps[-1] if policy.steps else StepRule()
    return (replace(last, share=0.5, labels=last.labels or policy.window),)
