"""What can go wrong with the database below a ledger, whichever it is."""

from __future__ import annotations

from instar.core.errors import BackendError, IntegrityError
from instar.ledger.tables import SCHEMA_VERSION


class LedgerBusy(BackendError):
    """Report that others kept the ledger, or the way to it, for too long."""

    code = "backend.ledger_busy"
    retryable = True

    def __init__(self, limit_s: float, by: str = "other writers all that time") -> None:
        super().__init__(f"the ledger within {limit_s:g} s", by, "try again")


class LedgerContended(BackendError):
    """Report a transaction that the database gave up in favour of another."""

    code = "backend.ledger_contended"
    retryable = True

    def __init__(self) -> None:
        super().__init__("a transaction that stands alone", "one that met another's", "try again")


class LedgerUnreachable(BackendError):
    """Report a database server that does not answer; what it did not confirm is not done."""

    code = "backend.ledger_unreachable"
    retryable = True

    def __init__(self, problem: str) -> None:
        super().__init__(
            "an answer of the ledger's server", problem, "see that it runs, and try again"
        )


class OutcomeUnknown(BackendError):
    """Report a commit whose answer was lost, and which could not be looked up in time."""

    code = "backend.outcome_unknown"
    retryable = True

    def __init__(self) -> None:
        super().__init__(
            "the ledger's word that an entry is in it",
            "none: the connection was lost at the last moment",
            "see `instar history` before you repeat what you did",
        )


class LedgerFailed(BackendError):
    """Report that the ledger could not be read or written."""

    code = "backend.ledger"

    def __init__(self, problem: str, todo: str = "look at its folder, space and rights") -> None:
        super().__init__("a ledger that takes entries", problem, todo)


class LedgerDamaged(IntegrityError):
    """Report a ledger whose file, or whose tables, are broken."""

    code = "integrity.ledger_damaged"

    def __init__(self, problem: str) -> None:
        super().__init__("a sound ledger file", problem, "restore it from a backup")


class NewerLedger(BackendError):
    """Refuse a ledger that a newer version of Instar has written."""

    code = "backend.newer_ledger"

    def __init__(self, version: int) -> None:
        super().__init__(
            f"a ledger of schema {SCHEMA_VERSION} or older",
            f"schema {version}",
            "install the version of Instar that wrote it",
        )
