"""What a report is made of: the records of one update, and nothing that is computed."""

from __future__ import annotations

from dataclasses import dataclass

from instar.core.finding import Verdict
from instar.core.records import (
    Admission,
    Approval,
    Bundle,
    ModelVersion,
    Phase,
    Plan,
    Release,
    Request,
    Training,
    Validation,
    Vote,
    Watch,
)
from instar.core.update import State, Update


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: `at` in seconds since the epoch, `digest` of the record."""

    seq: int
    kind: str
    actor: str
    at: float
    verdict: Verdict | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """Tell one update, as far as it got.

    `champion` is the version that served when the update was asked for; `after` the name of the
    one that serves as the page is written (empty: not told). `metric` names the primary metric
    (empty: the first one compared). `releases` and `entries` stand in the order in which they
    were recorded. `failure` says in words why the update stopped without a verdict.
    """

    model: str
    request: Request
    champion: ModelVersion | None = None
    after: str = ""
    metric: str = ""
    admission: Admission | None = None
    plan: Plan | None = None
    training: Training | None = None
    bundle: Bundle | None = None
    validation: Validation | None = None
    votes: tuple[Vote, ...] = ()
    approval: Approval | None = None
    releases: tuple[Release, ...] = ()
    watch: Watch | None = None
    failure: str = ""
    withdrawn: str = ""
    entries: tuple[Entry, ...] = ()

    @property
    def release(self) -> Release | None:
        """The last word on the traffic."""
        return self.releases[-1] if self.releases else None

    @property
    def before(self) -> str:
        """The version that served when the update was asked for."""
        return self.champion.name if self.champion else self.request.champion

    @property
    def left(self) -> str:
        """The version that the update left in service."""
        promoted = self.state is State.PROMOTED and self.bundle is not None
        return self.bundle.version if promoted and self.bundle else self.before

    @property
    def state(self) -> State:
        """Where the update stands, by the same rules as everywhere else."""
        made = (
            self.admission,
            self.plan,
            self.training,
            self.bundle,
            self.validation,
            self.approval,
            self.release,
        )
        return Update(
            records={type(record): record for record in made if record is not None},
            votes=self.votes,
            failure=self.failure,
            withdrawn=self.withdrawn,
            promoted=any(release.phase is Phase.PROMOTED for release in self.releases),
        ).state
