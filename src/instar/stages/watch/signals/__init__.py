"""Signals of production: a function of the evidence, with its answers as findings."""

from __future__ import annotations

from collections.abc import Callable

from instar.core.family import Family
from instar.core.finding import Finding
from instar.core.policy import WatchPolicy
from instar.stages.watch.evidence import Evidence
from instar.stages.watch.signals.live_quality import live_quality
from instar.stages.watch.signals.reports import reports
from instar.stages.watch.signals.score_drift import score_drift

Signal = Callable[[Evidence, WatchPolicy], tuple[Finding, ...]]

SIGNALS: Family[Signal] = Family(
    "signal",
    {
        "live_quality": live_quality,
        "score_drift": score_drift,
        "reports": reports,
    },
)
