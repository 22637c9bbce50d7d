"""The gates of a release: each looks at the same evidence and answers one question.

Tripwires hold the candidate against a limit, comparisons against the champion beside it. All that
judge by chance share the policy's `alpha`: most of it goes to the comparisons, for they decide
close cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from instar.core.family import Family
from instar.core.finding import Finding
from instar.core.policy import ReleasePolicy
from instar.stages.release.evidence import Evidence
from instar.stages.release.gates.crashes import crashes
from instar.stages.release.gates.disagreement import disagreement
from instar.stages.release.gates.enough import enough
from instar.stages.release.gates.errors import errors
from instar.stages.release.gates.failures import failures
from instar.stages.release.gates.invalid import invalid
from instar.stages.release.gates.latency import latency
from instar.stages.release.gates.quality import quality
from instar.stages.release.gates.reports import reports
from instar.stages.release.gates.score_shift import score_shift

Gate = Callable[[Evidence, ReleasePolicy, float], Finding]

GATES: Family[Gate] = Family(
    "release_gate",
    {
        "crashes": crashes,
        "invalid": invalid,
        "errors": errors,
        "latency": latency,
        "failures": failures,
        "quality": quality,
        "disagreement": disagreement,
        "reports": reports,
        "score_shift": score_shift,
        "enough": enough,
    },
)

ALPHA = {
    "errors": 0.1,
    "latency": 0.1,
    "disagreement": 0.1,
    "failures": 0.3,
    "quality": 0.4,
}
"""Parts of the policy's `alpha`. Gates that are not named here judge nothing by chance."""


OF_SHADOW = frozenset({"disagreement"})
"""Gates that have nothing to say where no shadow was asked for."""


def look(evidence: Evidence, policy: ReleasePolicy) -> Iterator[Finding]:
    """Ask every gate."""
    for name, gate in GATES.items():
        if name in OF_SHADOW and evidence.shadow is None:
            continue
        yield gate(evidence, policy, policy.alpha * ALPHA.get(name, 0.0))
