"""The verdict of an update in one sentence, and the reason in the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from instar.core.finding import Finding, Verdict
from instar.core.records import VoteKind
from instar.core.update import State
from instar.report.gates import worst_first
from instar.report.story import Story

GATES = {
    "admission": "the data gate",
    "plan": "the plan",
    "training": "training",
    "bundle": "packaging",
    "validation": "validation",
    "approval": "approval",
    "release": "the release",
}
"""What refuses, in a sentence."""


@dataclass(frozen=True, slots=True)
class Headline:
    """Say how an update ended. `look` is a verdict's value, or `open` while it is under way."""

    look: str
    word: str
    sentence: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """Hold the candidate against the champion on the primary metric.

    `finding` is the comparison itself; its `measured` is the difference, in points.
    """

    metric: str
    champion: float | None
    candidate: float | None
    finding: Finding | None = None

    @property
    def unit(self) -> str:
        """The unit of the difference, where the metric's name does not say it already."""
        unit = self.finding.unit if self.finding else ""
        return "" if unit == self.metric else unit


def headline(story: Story) -> Headline:
    """Choose the words for where an update stands.

    Returns:
        The sentence names the version that the update left in service; `because` is the worst
        finding's message, the release's reason, or the failure.
    """
    served = story.before
    stage, verdict, findings = _last(story)
    because = next((finding.message for finding in worst_first(findings)), "")
    match story.state:
        case State.PROMOTED:
            return Headline(
                "pass",
                "Promoted",
                f"Promoted: {story.left} took over from {served}.",
                _compared(story),
            )
        case State.ROLLED_BACK:
            said = f"Rolled back: {served} serves again, alone."
            return Headline("fail", "Rolled back", said, _reason(story))
        case State.FAILED:
            where = " in its release" if story.releases else f"; {served} is untouched and serves"
            said = f"Stopped by an error{where}."
            return Headline("error", "Stopped", said, story.failure)
        case State.WITHDRAWN:
            return Headline("open", "Withdrawn", f"Withdrawn by a person; {served} serves.")
        case State.KEPT:
            said = f"Nothing to gain: {served} stays."
            return Headline("pass", "Kept", said, story.plan.reason if story.plan else "")
        case State.REJECTED:
            said = f"Rejected by a person; {served} is untouched and serves."
            return Headline("fail", "Rejected", said, _rejection(story))
        case State.REFUSED:
            look = (verdict or Verdict.ERROR).value
            word = {"error": "Not measured", "inconclusive": "Cannot tell"}.get(look, "Refused")
            said = f"{word} at {GATES[stage]}; {served} is untouched and serves."
            return Headline(look, word, said, because)
        case State.WAITING:
            look = "inconclusive" if verdict is Verdict.INCONCLUSIVE else "open"
            for_what = "its release" if stage == "approval" and look == "open" else "people"
            return Headline(look, "Waiting", f"Waiting for {for_what}; {served} serves.", because)
        case State.RELEASING:
            said = f"The release is under way; {served} is champion until it ends."
            return Headline("open", "Releasing", said, _reason(story))
        case _:
            return Headline("open", "Under way", f"The update is under way; {served} serves.")


def score(story: Story) -> Score | None:
    """Find the primary metric on both sides, with the comparison that judged it.

    Returns:
        None where nothing was measured yet.
    """
    if story.validation is None:
        return None
    old, new = story.validation.champion, story.validation.candidate
    compared = [f for f in story.validation.findings if f.answer is not None]
    known = [name for name in new if "@" not in name]
    named = [name for f in compared for name in known if f.code.split(":")[-1] == name]
    wished = [name for name in (named or known) if name == story.metric]
    metric = next(iter([*wished, *named, *known]), None)
    if metric is None:
        return None
    finding = next((f for f in compared if f.code.split(":")[-1] == metric), None)
    return Score(metric, old.get(metric), new.get(metric), finding)


def picture(found: Score) -> dict[str, Any]:
    """Make an `intervals` picture of the difference, with no difference as its full line."""
    if found.finding is None or found.finding.interval is None:
        return {}
    span = found.finding.interval
    row = {
        "label": "difference",
        "value": found.finding.measured,
        "low": span.low,
        "high": span.high,
    }
    return {
        "kind": "intervals",
        "rows": [row],
        "zero": 0.0,
        "limit": found.finding.limit,
        "unit": found.unit,
    }


def _last(story: Story) -> tuple[str, Verdict | None, tuple[Finding, ...]]:
    for stage in reversed(GATES):
        record = getattr(story, stage)
        if record is not None:
            return stage, record.verdict, record.findings
    return "admission", None, ()


def _compared(story: Story) -> str:
    found = score(story)
    if found is None or found.finding is None:
        return _reason(story)
    return _opening(found.finding.message)


def _reason(story: Story) -> str:
    return _opening(story.release.reason) if story.release else ""


def _opening(words: str) -> str:
    return words[:1].upper() + words[1:]


def _rejection(story: Story) -> str:
    said = [vote for vote in story.votes if vote.kind is VoteKind.REJECT]
    return f"{said[-1].by}: {said[-1].reason}" if said else ""
