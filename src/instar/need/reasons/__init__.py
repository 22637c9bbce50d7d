"""Reasons for an update: a function of the evidence and the policy, with its answer as a claim."""

from __future__ import annotations

from collections.abc import Callable

from instar.core.family import Family
from instar.core.policy import Policy
from instar.need.evidence import Claim, Evidence
from instar.need.reasons.age import age
from instar.need.reasons.cost import cost
from instar.need.reasons.decay import decay
from instar.need.reasons.drift import drift
from instar.need.reasons.size import size

Reason = Callable[[Evidence, Policy], Claim]

REASONS: Family[Reason] = Family(
    "reason",
    {
        "age": age,
        "drift": drift,
        "cost": cost,
        "decay": decay,
        "size": size,
    },
)
