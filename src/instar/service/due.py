"""Gather from the ledger what bears on the next update, and say whether it is due."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from instar.core.clock import LedgerClock, SystemClock
from instar.core.codec import decode, encode
from instar.core.errors import InputError
from instar.core.finding import Finding, Interval, Verdict
from instar.core.records import Admission, Plan, Training, Validation, Watch
from instar.core.tools import Clock
from instar.core.update import State, Update, replay
from instar.need import DAY, Evidence, Fall, Price, Probed, earliest, need
from instar.need import day as written
from instar.service.dates import in_order
from instar.service.record import champions

if TYPE_CHECKING:
    from instar.ledger.journal import Entry, Journal
    from instar.service import Workspace

MOST = 20  # updates looked back on
_LEAST_ERROR = 1e-4  # a hundredth of a point: an interval without a width proves nothing
# Ends of an update after which a period begins anew: something was said of the champion.
_JUDGED = (State.KEPT, State.REFUSED, State.REJECTED, State.ROLLED_BACK, State.PROMOTED)


class TooEarly(InputError):
    """Refuse an update that the policy does not want yet; with `only_told` it is warned of."""

    code = "update.too_early"

    def __init__(self, days: float, waited: float, at: float, *, only_told: bool) -> None:
        self.only_told = only_told
        super().__init__(
            f"at least {days:g} days from one update to the next (policy.cadence.min_days)",
            f"{waited:.1f}",
            f"ask again on {written(at)} UTC, or at once: --set policy.cadence.enforce=off",
        )


def due(space: Workspace, clock: Clock | None = None) -> dict[str, Any]:
    """Say whether an update is due, in plain values.

    Args:
        clock: Tells the date; that of the machine unless a test brings another.
    Raises:
        InputError: there is no champion yet.
    """
    space.champion()
    model = space.project.model
    seen = gather(space.journal, model, clock or SystemClock())
    found = need(seen, space.project.policy)
    return {
        "model": model,
        "champion": seen.champion,
        "since": seen.since,
        **encode(found),
        "next": _next(seen.open, is_due=found.due),
        "exit_code": 0 if found.due else 3,
    }


def early(space: Workspace, clock: Clock | None = None) -> TooEarly | None:
    """Tell whether an update would come before `cadence.min_days` have gone by, where that counts.

    None where it would not, or `cadence.enforce` is off.
    """
    cadence = space.project.policy.cadence
    if cadence.enforce == "off" or not cadence.min_days:
        return None
    space.champion()
    seen = gather(space.journal, space.project.model, clock or SystemClock())
    at = earliest(seen, cadence)
    if at <= seen.now:
        return None
    waited, warned = (seen.now - seen.begun) / DAY, cadence.enforce == "warn"
    return TooEarly(cadence.min_days, waited, at, only_told=warned)


def _next(open_: str, *, is_due: bool) -> str:
    if open_:
        return f"instar status {open_}"
    return "instar update DATA --reason WHY" if is_due else "instar due"


def gather(journal: Journal, model: str, clock: Clock) -> Evidence:
    """Read the evidence of a model line that has a champion.

    Dates that contradict the order of the entries are not believed, and no moment is before the
    newest entry.
    """
    crowned = champions(journal, model)
    asked = journal.entries(model=model, kind="request")
    watches = journal.entries(model=model, kind="watch")
    when = _dates(*crowned, *asked, *watches)
    born: dict[str, float] = {}
    for entry in crowned:  # a champion that a rollback put back is as old as it is
        born.setdefault(str(entry.body["name"]), when[entry.seq])
    updates = [
        (when[entry.seq], replay(journal.entries(update=str(entry.update))))
        for entry in asked[-MOST:]
    ]
    metric = _metric(updates)
    last, came = crowned[-1], when[crowned[-1].seq]
    own = [entry for entry in watches if entry.seq > last.seq]
    judged = [at for at, update in updates if update.get(Plan) and update.state in _JUDGED]
    return Evidence(
        now=LedgerClock(clock, max(when.values())).now(),
        champion=str(last.body["name"]),
        since=born[str(last.body["name"])],
        begun=max([came, *(at for at, _ in updates)]),
        judged=max([came, *judged]),
        metric=metric,
        falls=(*_falls(updates, born, metric), *_live(crowned, watches, when, born, metric)),
        prices=tuple(_price(update) for _, update in updates if update.get(Training)),
        probes=tuple(found for _, update in updates if (found := _probed(update))),
        watched=decode(Watch, own[-1].body).findings if own else (),
        watched_at=when[own[-1].seq] if own else None,
        rows=next((rows for _, u in reversed(updates) if (rows := _labelled(u))), None),
        wanted=_wanted(updates),
        open=next((u.request.update for _, u in updates if u.state.open), ""),
    )


def _dates(*entries: Entry) -> dict[int, float]:
    """Give the date of each entry by its number, as far as their order bears it out."""
    marks = sorted(entries, key=lambda entry: entry.seq)
    dates = in_order([entry.at for entry in marks])
    return {entry.seq: at for entry, at in zip(marks, dates, strict=True)}


def _first_plan(update: Update) -> Plan | None:
    """Find the plan that looked at the data: those of a ladder's later rungs do not."""
    return update.rungs[0].plan if update.rungs else update.get(Plan)


def _found(update: Update, code: str) -> Finding | None:
    plan = _first_plan(update)
    return next((f for f in plan.findings if f.code == code), None) if plan else None


def _metric(updates: Sequence[tuple[float, Update]]) -> str:
    drops = [found.unit for _, update in updates if (found := _found(update, "drop"))]
    return drops[-1] if drops else ""


def _falls(
    updates: Sequence[tuple[float, Update]], born: Mapping[str, float], metric: str
) -> Iterator[Fall]:
    """List the drops that updates measured, each with its champion's age on that day."""
    for at, update in updates:
        drop, asked = _found(update, "drop"), update.request
        since = born.get(asked.champion)
        if drop is None or drop.measured is None or drop.unit != metric or since is None:
            continue
        yield from _fall(
            asked.update,
            (at - since) / DAY,
            drop.measured,
            drop.interval,
            span(asked.fresh.since, asked.fresh.until),
        )


def _live(
    crowned: Sequence[Entry],
    watches: Sequence[Entry],
    when: Mapping[int, float],
    born: Mapping[str, float],
    metric: str,
) -> Iterator[Fall]:
    """List the live quality of each champion, as last watched: windows before overlap with it."""
    ends = [*(entry.seq for entry in crowned[1:]), math.inf]
    for crown, end in zip(crowned, ends, strict=True):
        promised = crown.body["metrics"].get(metric)
        for entry in reversed([e for e in watches if crown.seq < e.seq < end]):
            findings = decode(Watch, entry.body).findings
            live = next((f for f in findings if f.code == f"live_quality:{metric}"), None)
            if live is None or live.measured is None or promised is None:
                continue
            days = (when[entry.seq] - born[str(crown.body["name"])]) / DAY
            drop = float(promised) - live.measured
            yield from _fall(f"watch {entry.seq}", days, drop, live.interval, 0.0)
            break


def _fall(
    source: str, days: float, drop: float, bounds: Interval | None, over: float | None
) -> Iterator[Fall]:
    if bounds is None or not all(map(math.isfinite, (drop, bounds.low, bounds.high))):
        return
    z = NormalDist().inv_cdf((1 + bounds.level) / 2)
    error = max(_LEAST_ERROR, (bounds.high - bounds.low) / (2 * z))
    yield Fall(source, days, drop, error, over)


def span(since: str | None, until: str | None) -> float | None:
    """Count the days between the ends of a time column; None where they are no dates.

    Example:
        >>> span("2026-11-01", "2026-11-08T12:00:00"), span("0", "299"), span(None, None)
        (7.5, None, None)
    """
    try:
        first, last = (datetime.fromisoformat(text) for text in (since or "", until or ""))
    except ValueError:
        return None
    ends = [at if at.tzinfo else at.replace(tzinfo=UTC) for at in (first, last)]
    return max(0.0, (ends[1] - ends[0]).total_seconds() / DAY)


def _price(update: Update) -> Price:
    """Add up what an update computed, its refused candidates among it."""
    training, validation = update.get(Training), update.get(Validation)
    rungs = [record for rung in update.rungs for record in (rung.training, rung.validation)]
    records = [*rungs, *(record for record in (training, validation) if record)]
    metered = all(record.cost.method for record in records)
    flips = validation.measured("flips:fresh") if validation and update.promoted else None
    return Price(sum(record.cost.money for record in records) if metered else None, flips)


def _labelled(update: Update) -> int | None:
    """Count the labelled rows that were admitted."""
    admission = update.get(Admission)
    split = admission.split if admission else None
    return split.train.rows + split.valid.rows + split.test.rows if split else None


def _probed(update: Update) -> Probed | None:
    probe, rows = _found(update, "probe"), _labelled(update)
    if probe is None or probe.interval is None or not probe.n or not rows:
        return None
    reach = (probe.interval.high - probe.interval.low) / 2
    return Probed(rows, probe.n, reach) if math.isfinite(reach) else None


def _wanted(updates: Sequence[tuple[float, Update]]) -> int:
    """Count the labelled rows at which the last update's gates could have told; 0: they could."""
    for _, update in reversed(updates):
        validation, rows = update.get(Validation), _labelled(update)
        if validation is None or rows is None:
            continue
        open_ = [f for f in validation.findings if f.enforced and f.verdict is Verdict.INCONCLUSIVE]
        more = [(f.n, f.labels_needed) for f in open_ if f.n and f.labels_needed]
        return max((math.ceil(rows * (n + lacking) / n) for n, lacking in more), default=0)
    return 0
