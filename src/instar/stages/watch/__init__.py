"""Production is watched: late labels, the scores' drift, and the reason for the next update."""

from __future__ import annotations

from instar.core.errors import BackendError
from instar.core.finding import Finding, Verdict, worst
from instar.core.policy import WatchPolicy
from instar.core.records import ModelVersion, Watch
from instar.core.tools import Tools
from instar.stages.watch.evidence import gather
from instar.stages.watch.signals import SIGNALS

__all__ = ["SIGNALS", "watch"]


def watch(
    champion: ModelVersion, last: Watch | None, *, policy: WatchPolicy, tools: Tools
) -> Watch:
    """Take one look at the champion in production.

    FAIL: a signal has gone off, and `ask` is the reason for a new update. INCONCLUSIVE: too few
    labels or answers so far. ERROR: the gateway is silent, or there is nothing to compare with.
    """
    try:
        evidence = gather(champion, policy, tools)
    except BackendError as error:
        finding = Finding("gateway", Verdict.ERROR, str(error), passes_if=error.todo)
        return Watch(Verdict.ERROR, (finding,), policy.window)
    findings = tuple(finding for signal in SIGNALS.values() for finding in signal(evidence, policy))
    return Watch(worst(findings), findings, policy.window, _ask(findings))


def _ask(findings: tuple[Finding, ...]) -> str:
    gone_off = [finding for finding in findings if finding.verdict is Verdict.FAIL]
    return "; ".join(finding.message for finding in gone_off)
