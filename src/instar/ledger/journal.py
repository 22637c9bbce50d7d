"""The journal, as everybody else imports it. What is not in it did not happen."""

from instar.ledger.entry import GENESIS, Entry, Problem
from instar.ledger.leases import Busy, LostLease
from instar.ledger.protocol import (
    CROWNING,
    AlteredEntry,
    Attempt,
    Hold,
    Journal,
    Overruled,
    StaleChampion,
    TakenKey,
    UnwritableBody,
    WrongKind,
)
from instar.ledger.sqlite import (
    LedgerBusy,
    LedgerDamaged,
    LedgerFailed,
    NewerLedger,
    SqliteJournal,
)

__all__ = [
    "CROWNING",
    "GENESIS",
    "AlteredEntry",
    "Attempt",
    "Busy",
    "Entry",
    "Hold",
    "Journal",
    "LedgerBusy",
    "LedgerDamaged",
    "LedgerFailed",
    "LostLease",
    "NewerLedger",
    "Overruled",
    "Problem",
    "SqliteJournal",
    "StaleChampion",
    "TakenKey",
    "UnwritableBody",
    "WrongKind",
]
