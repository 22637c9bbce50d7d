"""The checks of the data gate, in the order in which they are asked.

A check is a function of the evidence. It returns findings, and `Held` for rows that must not be
learnt from. Its findings' codes begin with its name here.
"""

from instar.core.family import Family
from instar.stages.admit.checks.balance import balance
from instar.stages.admit.checks.drift import drift
from instar.stages.admit.checks.duplicates import duplicates
from instar.stages.admit.checks.form import form
from instar.stages.admit.checks.holdout_shared import holdout_shared
from instar.stages.admit.checks.joint_drift import joint_drift
from instar.stages.admit.checks.label_noise import label_noise
from instar.stages.admit.checks.label_shift import label_shift
from instar.stages.admit.checks.missing import missing
from instar.stages.admit.checks.outliers import outliers
from instar.stages.admit.checks.rows import rows
from instar.stages.admit.checks.slice_shift import slice_shift
from instar.stages.admit.evidence import Check

CHECKS: Family[Check] = Family(
    "check",
    {
        "rows": rows,
        "format": form,
        "missing": missing,
        "outliers": outliers,
        "balance": balance,
        "duplicates": duplicates,
        "holdout_shared": holdout_shared,
        "drift": drift,
        "joint_drift": joint_drift,
        "label_shift": label_shift,
        "slice_shift": slice_shift,
        "label_noise": label_noise,
    },
)
