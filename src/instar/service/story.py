"""Gather what the ledger knows of one update, for its report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from instar.core.finding import Verdict
from instar.core.records import (
    Admission,
    Approval,
    Bundle,
    ModelVersion,
    Plan,
    Training,
    Validation,
    Watch,
)
from instar.core.update import Update
from instar.report.story import Entry, Story

if TYPE_CHECKING:
    from instar.ledger import journal


def gather(
    update: Update,
    champion: ModelVersion,
    after: str,
    metric: str,
    entries: Sequence[journal.Entry],
) -> Story:
    """Make the story of an update from its replayed records and its entries."""
    return Story(
        model=update.request.model,
        request=update.request,
        champion=champion,
        after=after,
        metric=metric,
        admission=update.get(Admission),
        plan=update.get(Plan),
        training=update.get(Training),
        bundle=update.get(Bundle),
        validation=update.get(Validation),
        votes=update.votes,
        approval=update.get(Approval),
        releases=update.releases,
        watch=update.get(Watch),
        failure=update.failure,
        withdrawn=update.withdrawn,
        entries=tuple(_lines(entries)),
    )


def _lines(entries: Iterable[journal.Entry]) -> Iterable[Entry]:
    for entry in entries:
        yield Entry(
            seq=entry.seq,
            kind=entry.kind,
            actor=entry.actor,
            at=entry.at,
            verdict=_verdict(entry.body.get("verdict")),
            digest=entry.hash,
        )


def _verdict(value: Any) -> Verdict | None:
    return Verdict(value) if value in {verdict.value for verdict in Verdict} else None
