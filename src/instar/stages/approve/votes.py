"""Which votes count: those of other people, on what is decided today, and still fresh."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from instar.core.codec import encode
from instar.core.digest import digest_json
from instar.core.finding import Finding, Verdict
from instar.core.records import Bundle, Request, Validation, Vote, VoteKind, person

HOUR_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Ballot:
    """What is voted on, by digests, who asked for it, and when a vote is too old.

    `now` in seconds since the epoch, `lasts_s` in seconds.
    """

    bundle: str
    validation: str
    policy: str
    requester: str
    now: float
    lasts_s: float

    def objection(self, vote: Vote) -> str:
        """Say why a vote does not count; empty where it does."""
        if (vote.bundle, vote.validation, vote.policy) != (
            self.bundle,
            self.validation,
            self.policy,
        ):
            return "what was voted on has changed since"
        if not person(vote.by):
            return "it bears no name"
        if vote.kind is VoteKind.REJECT:
            return ""  # anyone may say no, and a no does not grow old
        if person(vote.by) == self.requester:
            return "nobody approves their own update"
        # A clock set back must not make an old vote young, nor a vote from the future last.
        if abs(self.now - vote.at) > self.lasts_s:
            return f"it is more than {self.lasts_s / HOUR_S:g} h old"
        if vote.kind is VoteKind.OVERRIDE and not vote.reason.strip():
            return "an override needs a reason"
        return ""


def ballot(
    request: Request, validation: Validation, bundle: Bundle, now: float, lasts_s: float
) -> Ballot:
    """Name what is voted on."""
    return Ballot(
        bundle=bundle.manifest,
        validation=digest_json(encode(validation)),
        policy=request.policy,
        requester=person(request.by),
        now=now,
        lasts_s=lasts_s,
    )


def people(votes: Iterable[Vote], kind: VoteKind, code: str = "") -> int:
    """Count the different people behind the votes of a kind; of overrides, of one finding."""
    meant = (vote for vote in votes if vote.kind is kind and code in ("", vote.code))
    return len({person(vote.by) for vote in meant})


def voided(votes: Sequence[Vote], ballot: Ballot) -> tuple[Finding, ...]:
    """Report the votes that do not count, each with the reason."""
    return tuple(
        Finding(
            code=f"void:{number}",
            verdict=Verdict.INCONCLUSIVE,
            message=f"the {vote.kind.value} of {vote.by or 'nobody'} does not count: {objection}",
            passes_if="vote again",
            enforced=False,
        )
        for number, vote in enumerate(votes, 1)
        if (objection := ballot.objection(vote))
    )
