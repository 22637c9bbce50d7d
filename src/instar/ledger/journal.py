"""The journal, as everybody else imports it. What is not in it did not happen."""

from instar.ledger.checkpoints import Checkpoints, OlderLedger
from instar.ledger.entry import GENESIS, Entry, Problem
from instar.ledger.failures import (
    LedgerBusy,
    LedgerContended,
    LedgerDamaged,
    LedgerFailed,
    LedgerUnreachable,
    NewerLedger,
    OutcomeUnknown,
)
from instar.ledger.leases import Busy, LostLease
from instar.ledger.people import Forgotten
from instar.ledger.protocol import (
    CROWNING,
    AlteredEntry,
    Attempt,
    Hold,
    Journal,
    Overruled,
    StaleChampion,
    TakenKey,
    UnknownEntry,
    UnwritableBody,
    UnwritableText,
    WrongKind,
)
from instar.ledger.sqlite import SqliteJournal

__all__ = [
    "CROWNING",
    "GENESIS",
    "AlteredEntry",
    "Attempt",
    "Busy",
    "Checkpoints",
    "Entry",
    "Forgotten",
    "Hold",
    "Journal",
    "LedgerBusy",
    "LedgerContended",
    "LedgerDamaged",
    "LedgerFailed",
    "LedgerUnreachable",
    "LostLease",
    "NewerLedger",
    "OlderLedger",
    "OutcomeUnknown",
    "Overruled",
    "Problem",
    "SqliteJournal",
    "StaleChampion",
    "TakenKey",
    "UnknownEntry",
    "UnwritableBody",
    "UnwritableText",
    "WrongKind",
]
