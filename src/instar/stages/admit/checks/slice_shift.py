"""Find a number that moved within one slice further than elsewhere, as by a change of unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from instar.core.data import Kind, Role
from instar.core.errors import UnknownName
from instar.core.finding import Finding, Verdict
from instar.stages.admit.evidence import Evidence, Held
from instar.stages.admit.pictures import bars, spread
from instar.stages.admit.units import Conversion, explain
from instar.stages.admit.words import count, days
from instar.stats.slice_shift import chance, deciles, expected

Floats = NDArray[np.float64]
VALUES = 30  # a category with more values is no slicing, unless the policy names it
SURE = 3.0  # standard errors that chance is granted
WORST = 0.95  # quantile of days; the very worst may be an accident
HALF = 0.5  # a shift that a conversion explains counts from half the limit on


@dataclass(frozen=True, slots=True)
class Shift:
    """A number's move within one slice: medians before, now, and due had it moved as elsewhere.

    `excess` is in old interquartile ranges, `blame` in the number's unit.
    """

    number: str
    by: str
    value: str
    excess: float
    blame: float
    before: float
    now: float
    due: float
    scale: float
    rows: int
    conversion: Conversion | None


@dataclass(frozen=True, slots=True)
class Slicing:
    """One category column, coded: slice names, and the code of each old and fresh row."""

    by: str
    values: tuple[str, ...]
    old: NDArray[np.int64]
    fresh: NDArray[np.int64]


def slice_shift(evidence: Evidence) -> list[Finding | Held]:
    """Compare deciles within each slice, fresh against old, with how the other slices moved.

    Where a slice stands out, its likely origin is sought among well-known unit conversions: the one
    that brings it back to where the others are. The worst slice is set aside and the search
    goes on, so that what merely overlaps with it (a carrier at home on that airport) is not named.
    """
    old, fresh = evidence.compared
    slicings = [_slicing(old[name], fresh[name]) for name in _sliced_by(evidence)]
    answers: list[Finding | Held] = []
    worst: dict[str, float] = {}
    for column in evidence.schema.of(Role.FEATURE, Kind.NUMBER):
        sides = (_floats(old[column.name]), _floats(fresh[column.name]))
        found, worst[column.name] = _search(column.name, *sides, slicings, evidence)
        for shift in found:
            answers += _answers(evidence, shift)
    return answers or [_headline(evidence, worst)]


def _sliced_by(evidence: Evidence) -> tuple[str, ...]:
    columns = evidence.schema.of(Role.FEATURE, Kind.CATEGORY)
    known = [column.name for column in columns]
    for name in evidence.policy.slices:
        if name not in known:
            raise UnknownName("category column under admit.slices", name, known)
    few = tuple(column.name for column in columns if len(column.categories) <= VALUES)
    return evidence.policy.slices or few


def _slicing(old: pl.Series, fresh: pl.Series) -> Slicing:
    values = tuple(sorted(set(old.drop_nulls()) | set(fresh.drop_nulls())))
    codes = [
        side.replace_strict(
            values, range(len(values)), default=-1, return_dtype=pl.Int64
        ).to_numpy()
        for side in (old, fresh)
    ]
    return Slicing(old.name, values, *codes)


def _floats(values: pl.Series) -> Floats:
    return values.fill_null(float("nan")).to_numpy().copy()


def _search(
    number: str, old: Floats, fresh: Floats, slicings: list[Slicing], evidence: Evidence
) -> tuple[list[Shift], float]:
    """Name slices, the clearest first; return what was found and the largest excess left over."""
    found: list[Shift] = []
    limit = evidence.policy.slice_shift
    scale = _scale(old)
    while True:
        shifts = [s for slicing in slicings for s in _shifts(number, old, fresh, slicing, scale)]
        over = [s for s in shifts if s.excess > limit * (HALF if s.conversion else 1)]
        if not over:
            return found, max((s.excess for s in shifts), default=0.0)
        # Of slices that overlap, the one at fault has both: most of the shift, and most rows.
        shift = max(over, key=lambda s: s.blame * s.rows)
        found.append(shift)
        slicing = next(slicing for slicing in slicings if slicing.by == shift.by)
        code = slicing.values.index(shift.value)
        old[slicing.old == code] = fresh[slicing.fresh == code] = np.nan


def _scale(old: Floats) -> float:
    present = old[~np.isnan(old)]
    if not len(present):
        return 1.0
    low, high = np.quantile(present, [0.25, 0.75])
    return float(high - low) or float(present.std()) or 1.0


def _shifts(number: str, old: Floats, fresh: Floats, slicing: Slicing, scale: float) -> list[Shift]:
    size = len(slicing.values)
    before, now = deciles(old, slicing.old, size), deciles(fresh, slicing.fresh, size)
    due = expected(before, now)
    there = slicing.fresh[(slicing.fresh >= 0) & ~np.isnan(fresh)]
    sizes = np.bincount(there, minlength=size)
    apart, own = (np.abs(now - since).mean(axis=1) for since in (due, before))
    excess = np.maximum(0.0, apart - SURE * chance(now, sizes)) / scale
    # Each of two slices is as far from the other: then the one that moved itself is to blame.
    blame = own if np.count_nonzero(~np.isnan(apart)) == 2 else apart
    return [
        Shift(
            number=number,
            by=slicing.by,
            value=slicing.values[place],
            excess=float(excess[place]),
            blame=float(blame[place]),
            before=float(before[place, 4]),
            now=float(now[place, 4]),
            due=float(due[place, 4]),
            scale=scale,
            rows=int(sizes[place]),
            conversion=explain(now[place], due[place]),
        )
        for place in np.flatnonzero(~np.isnan(excess))
    ]


def _at_fault(evidence: Evidence, shift: Shift) -> tuple[NDArray[np.int64], Conversion | None]:
    """Find the rows of a slice that moved apart, day by day where there are times, and the unit."""
    inside = (pl.col(shift.by) == shift.value) & pl.col(shift.number).is_not_null()
    time = evidence.task.time
    if time is None or not isinstance(evidence.fresh[time].dtype, pl.Datetime):
        return _numbers(evidence.fresh, inside), shift.conversion
    day = pl.col(time).dt.date()
    on = day.is_in(_days(evidence, shift, day).implode())
    rows = _numbers(evidence.fresh, inside & on)
    return rows, _unit(evidence, shift, evidence.fresh.filter(on)) or shift.conversion


def _days(evidence: Evidence, shift: Shift, day: pl.Expr) -> pl.Series:
    """List the days on which the slice lies half as far from the others as on the worst days."""
    value, inside = pl.col(shift.number), pl.col(shift.by) == shift.value
    between = value.filter(inside).median() - value.filter(~inside).median()
    usual = evidence.compared[0].select(between).item()
    apart = (between - usual).abs().alias("apart")
    by_day = evidence.fresh.group_by(day.alias("day")).agg(apart)
    worst = by_day["apart"].quantile(WORST) or 0.0
    reach = HALF * max(worst, evidence.policy.slice_shift * shift.scale)
    return by_day.filter(pl.col("apart") > reach)["day"]


def _unit(evidence: Evidence, shift: Shift, fresh: pl.DataFrame) -> Conversion | None:
    """Seek the conversion on the days at fault alone: mixed with sound days, none may fit."""
    old = evidence.compared[0]
    slicing = _slicing(old[shift.by], fresh[shift.by])
    before, now = (
        deciles(_floats(frame[shift.number]), codes, len(slicing.values))
        for frame, codes in ((old, slicing.old), (fresh, slicing.fresh))
    )
    place = slicing.values.index(shift.value)
    due = expected(before, now)[place]
    return None if np.isnan(due).any() else explain(now[place], due)


def _numbers(frame: pl.DataFrame, chosen: pl.Expr) -> NDArray[np.int64]:
    rows = frame.select(chosen.fill_null(value=False)).to_series().arg_true()
    return rows.to_numpy().astype(np.int64)


def _answers(evidence: Evidence, shift: Shift) -> list[Finding | Held]:
    rows, unit = _at_fault(evidence, shift)
    where = f"{shift.number} where {shift.by} is {shift.value}"
    span = f"{count(len(rows))} rows{days(evidence.times(rows))}"
    likely = f"; it looks like {unit.got}" if unit else ""
    old, fresh = evidence.compared
    before, now = (
        frame.filter(pl.col(shift.by) == shift.value)[shift.number].drop_nulls().to_numpy()
        for frame in (old, fresh)
    )
    limit = evidence.policy.slice_shift * (HALF if shift.conversion else 1)
    finding = Finding(
        f"slice_shift:{shift.number}:{shift.by}={shift.value}",
        Verdict.FAIL,
        f"{where} has moved apart from the rest{likely}: median {shift.before:.4g} before, "
        f"{shift.now:.4g} now, {shift.due:.4g} had it moved as elsewhere ({span})",
        measured=shift.excess,
        limit=limit,
        unit="old interquartile ranges",
        n=shift.rows,
        passes_if=f"{where} converted from {unit.got} to {unit.wanted} ({span})"
        if unit
        else f"{where} corrected at its source, the {span} left out, or a higher admit.slice_shift",
        picture=spread(where, before, now),
    )
    reason = f"{where} moved apart" + (f", looks like {unit.got}" if unit else "")
    return [finding, Held(rows, reason, shift.number)]


def _headline(evidence: Evidence, worst: dict[str, float]) -> Finding:
    limit = evidence.policy.slice_shift
    by = ", ".join(_sliced_by(evidence))
    most = max(worst, key=worst.__getitem__, default=None)
    message = (
        f"no number moved apart within a value of {by}; {most} did most"
        if by and most
        else "there are no slices to compare"
    )
    return Finding(
        "slice_shift",
        Verdict.PASS,
        message,
        measured=worst[most] if most else 0.0,
        limit=limit,
        unit="old interquartile ranges",
        n=evidence.fresh.height,
        picture=bars(worst, limit, "old interquartile ranges"),
    )
