"""The nine stages as a line of marks: how far an update came, and what each stage said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from instar.core.finding import Verdict
from instar.core.records import Phase, VoteKind
from instar.report.gates import passed
from instar.report.numbers import number, percent
from instar.report.story import Story


@dataclass(frozen=True, slots=True)
class Stage:
    """One mark. `look` is a verdict's value, `made` (recorded) or `none` (not reached)."""

    name: str
    title: str
    look: str
    word: str
    note: str = ""


WORDS = {
    "pass": "passed",
    "fail": "failed",
    "inconclusive": "cannot tell",
    "error": "not measured",
    "made": "recorded",
    "open": "under way",
    "none": "not reached",
}
"""A verdict is always read as a word, never by its colour alone."""


def stages(story: Story) -> list[Stage]:
    """Mark the nine stages of an update."""
    request = Stage("request", "Request", "made", WORDS["made"], f"by {story.request.by}")
    marks = [request, *(_mark(name, getattr(story, name), story) for name in _NOTES)]
    return _broken(marks) if story.failure else marks


def _mark(name: str, record: Any, story: Story) -> Stage:
    title = name.capitalize()
    if record is None:
        return Stage(name, title, "none", WORDS["none"])
    look = record.verdict.value
    word = WORDS[look]
    if name == "release" and record.phase in _PHASES:
        look, word = _PHASES[record.phase]
    if name == "approval" and record.verdict is Verdict.INCONCLUSIVE:
        word = "waiting"
    return Stage(name, title, look, word, _NOTES[name](record, story))


def _broken(marks: list[Stage]) -> list[Stage]:
    """Put the failure where it happened: at the first stage that has no record."""
    first = next((i for i, mark in enumerate(marks[:-1]) if mark.look == "none"), len(marks) - 2)
    broken = Stage(marks[first].name, marks[first].title, "error", "stopped here")
    return [*marks[:first], broken, *marks[first + 1 :]]


_PHASES = {
    Phase.PROMOTED: ("pass", "promoted"),
    Phase.RETIRED: ("pass", "promoted"),
    Phase.ROLLED_BACK: ("fail", "rolled back"),
    Phase.PENDING: ("open", "pending"),
    Phase.SHADOW: ("open", "in the shadow"),
    Phase.STEP: ("open", "under way"),
    Phase.PAUSED: ("inconclusive", "paused"),
    Phase.PROMOTING: ("open", "promoting"),
    Phase.ABORTING: ("fail", "aborting"),
}


def _admitted(record: Any, story: Story) -> str:
    held = f", {number(record.quarantined)} held back" if record.quarantined else ""
    return f"{number(record.rows)} rows{held}"


def _validated(record: Any, story: Story) -> str:
    said = f"{len(passed(record.findings))} of {len(record.findings)} passed"
    lifted = record.verdict is Verdict.INCONCLUSIVE and any(
        vote.kind is VoteKind.OVERRIDE for vote in story.votes
    )
    return f"{said}; overridden" if lifted else said


def _approved(record: Any, story: Story) -> str:
    if record.waiting_for:
        return f"{number(record.waiting_for)} more needed"
    return "by " + ", ".join(dict.fromkeys(vote.by for vote in record.votes))


def _released(record: Any, story: Story) -> str:
    if record.phase is Phase.ROLLED_BACK:
        return f"after {number(record.requests)} requests"
    candidate = story.bundle.version if story.bundle else ""
    return f"{percent(record.shares.get(candidate, 0.0))} of traffic"


_NOTES: dict[str, Callable[[Any, Story], str]] = {
    "admission": _admitted,
    "plan": lambda record, story: str(record.strategy),
    "training": lambda record, story: f"{number(len(record.history))} epochs",
    "bundle": lambda record, story: str(record.precision),
    "validation": _validated,
    "approval": _approved,
    "release": _released,
    "watch": lambda record, story: record.ask or f"{number(record.window)} answers",
}
