"""The gates of a release: each looks at the same evidence and answers one question.

Tripwires hold the candidate against a limit, comparisons against the champion beside it. All that
judge by chance share the policy's `alpha`: most of it goes to the comparisons, for they decide
close cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from instar.core.family import Family
from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.crashes import crashes
from instar.stages.release.gates.disagreement import disagreement
from instar.stages.release.gates.empty import empty
from instar.stages.release.gates.enough import enough
from instar.stages.release.gates.errors import errors
from instar.stages.release.gates.failures import failures
from instar.stages.release.gates.invalid import invalid
from instar.stages.release.gates.latency import latency
from instar.stages.release.gates.outside import outside
from instar.stages.release.gates.quality import quality
from instar.stages.release.gates.reports import reports
from instar.stages.release.gates.score_shift import score_shift
from instar.stages.release.gates.slow import slow
from instar.stages.release.gates.split import split
from instar.stages.release.gates.window import window

Gate = Callable[[Evidence, ReleasePolicy, float], Finding]

GATES: Family[Gate] = Family(
    "release_gate",
    {
        "crashes": crashes,
        "invalid": invalid,
        "errors": errors,
        "latency": latency,
        "outside": outside,
        "empty": empty,
        "split": split,
        "failures": failures,
        "slow": slow,
        "quality": quality,
        "disagreement": disagreement,
        "reports": reports,
        "score_shift": score_shift,
        "window": window,
        "enough": enough,
    },
)

ALPHA = {
    "errors": 0.05,
    "latency": 0.05,
    "outside": 0.025,
    "empty": 0.025,
    "split": 0.05,
    "disagreement": 0.05,
    "failures": 0.2,
    "slow": 0.1,
    "quality": 0.4,
    "score_shift": 0.05,
}
"""Parts of the policy's `alpha`. Gates that are not named here judge nothing by chance."""


OF_SHADOW = frozenset({"disagreement"})
"""Gates that have nothing to say where no shadow was asked for."""


def look(
    evidence: Evidence, policy: ReleasePolicy, gates: Mapping[str, float]
) -> Iterator[Finding]:
    """Ask the gates of a plan, each with the false alarms that it may spend there.

    They answer in the table's order; a record keeps none.
    """
    known = [name for name in GATES if name in gates]
    for name in dict.fromkeys((*known, *gates)):
        if evidence.shadow is not None or name not in OF_SHADOW:
            yield GATES[name](evidence, policy, gates[name])
