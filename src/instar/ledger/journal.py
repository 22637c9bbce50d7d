"""The journal, as everybody else imports it. What is not in it did not happen."""

from instar.ledger.entry import GENESIS, Entry, Problem
from instar.ledger.leases import Busy, LostLease
from instar.ledger.protocol import (
    CROWNING,
    AlteredEntry,
    Journal,
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
    "Busy",
    "Entry",
    "Journal",
    "LedgerBusy",
    "LedgerDamaged",
    "LedgerFailed",
    "LostLease",
    "NewerLedger",
    "Problem",
    "SqliteJournal",
    "StaleChampion",
    "TakenKey",
    "UnwritableBody",
    "WrongKind",
]
