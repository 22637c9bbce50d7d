"""The gate family: one question about the sealed candidate a member.

A gate gets the evidence and the limits, and returns findings: none where the question does not
arise for the task, never an exception for a bad model.
"""

from __future__ import annotations

from collections.abc import Callable

from instar.core.family import Family
from instar.core.finding import Finding
from instar.core.policy import ValidatePolicy
from instar.stages.validate.evidence import Evidence
from instar.stages.validate.gates.answers import answers
from instar.stages.validate.gates.attack import attack
from instar.stages.validate.gates.calibration import calibration
from instar.stages.validate.gates.confusion import confusion
from instar.stages.validate.gates.figures import figures
from instar.stages.validate.gates.flips import flips
from instar.stages.validate.gates.forgetting import forgetting
from instar.stages.validate.gates.latency import latency
from instar.stages.validate.gates.limits import limits
from instar.stages.validate.gates.metrics import metrics
from instar.stages.validate.gates.parity import parity
from instar.stages.validate.gates.size import size
from instar.stages.validate.gates.slices import slices
from instar.stages.validate.gates.suspicious import suspicious

Gate = Callable[[Evidence, ValidatePolicy], tuple[Finding, ...]]

GATES: Family[Gate] = Family(
    "gate",
    {
        "answers": answers,
        "limits": limits,
        "metrics": metrics,
        "forgetting": forgetting,
        "flips": flips,
        "slices": slices,
        "suspicious": suspicious,
        "attack": attack,
        "latency": latency,
        "size": size,
        "parity": parity,
        "calibration": calibration,
        "confusion": confusion,
        "figures": figures,
    },
)
