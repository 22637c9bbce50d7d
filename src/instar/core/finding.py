"""One question, asked of data, a model or production, and its answer."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Verdict(enum.Enum):
    """Four different things: passed, failed, cannot tell, could not measure."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS)


class Comparison(enum.Enum):
    """The answer of a candidate held against its champion."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Interval:
    """Bound a measured value; `level` is the confidence, a fraction in (0, 1)."""

    low: float
    high: float
    level: float = 0.95

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Finding:
    """Answer one check.

    `code` is the check's name, with a subject behind a colon where one check asks about several
    things (`missing:pressure`). `enforced` findings decide the stage; the others are reported.
    `passes_if` says in words what would make it pass; empty when it passes. `picture` holds plain
    numbers for the report to draw, with a `kind` key that names the drawing. `evidence` is the
    digest of an artifact (a table of rows, say).
    """

    code: str
    verdict: Verdict
    message: str
    measured: float | None = None
    limit: float | None = None
    unit: str = ""
    interval: Interval | None = None
    n: int | None = None
    passes_if: str = ""
    answer: Comparison | None = None
    labels_needed: int | None = None
    enforced: bool = True
    evidence: str | None = None
    picture: Mapping[str, Any] = field(default_factory=dict)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Decide a stage: the worst enforced finding; none at all is an error.

    Example:
        >>> worst([])
        <Verdict.ERROR: 'error'>
        >>> worst([Finding("a", Verdict.PASS, ""), Finding("b", Verdict.FAIL, "")])
        <Verdict.FAIL: 'fail'>
    """
    seen = {finding.verdict for finding in findings if finding.enforced}
    return next((verdict for verdict in _WORST_FIRST if verdict in seen), Verdict.ERROR)
