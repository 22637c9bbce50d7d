"""What the ledger knows that bears on the next update, gathered once for all reasons."""

from __future__ import annotations

from dataclasses import dataclass

from instar.core.finding import Finding

DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Fall:
    """How much worse than on its holdout a champion was at some age: one look at it.

    `days` is its age on the day of the look, `span` over how many days before the rows had come
    (None: nobody says). `drop` is in the primary metric, a fraction, positive where it fell;
    `error` is its standard error. `source` is the update or the watch that measured it.
    """

    source: str
    days: float
    drop: float
    error: float
    span: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What one past update used: `money` for computing, and negative flips, a share of rows.

    `money` is None where it was not metered, `flips` where no candidate was promoted.
    """

    money: float | None
    flips: float | None


@dataclass(frozen=True, slots=True)
class Probed:
    """How sure a probe was: `reach` is half the width of its gain's interval, over `n` rows.

    The update had `rows` labelled rows in all. `reach` is a fraction of the metric.
    """

    rows: int
    n: int
    reach: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a reason may look at; dates in seconds since the epoch, what is past oldest first.

    `since` is when the champion was adopted or promoted. `begun` is when an update was last asked
    for, or the champion changed, whichever is later; `judged` the same of updates that came to a
    word on the champion. `watched` are the findings of the last watch of this champion. `wanted`
    is how many labelled rows the gates of the last update would have needed to tell, 0 where they
    could. `open` names the update that is under way, if any.
    """

    now: float
    champion: str
    since: float
    begun: float
    judged: float
    metric: str = ""
    falls: tuple[Fall, ...] = ()
    prices: tuple[Price, ...] = ()
    probes: tuple[Probed, ...] = ()
    watched: tuple[Finding, ...] = ()
    watched_at: float | None = None
    rows: int | None = None
    wanted: int = 0
    open: str = ""

    @property
    def age_days(self) -> float:
        """How long the champion has served."""
        return (self.now - self.since) / DAY

    @property
    def waited_days(self) -> float:
        """How long ago the champion came, or an update last judged it."""
        return (self.now - self.judged) / DAY


@dataclass(frozen=True, slots=True)
class Claim:
    """What one reason says: a finding, where FAIL asks for an update now.

    `at` is the date from which it asks, None where it never does; `rows` how many fresh labelled
    rows it wants.
    """

    finding: Finding
    at: float | None = None
    rows: int = 0
