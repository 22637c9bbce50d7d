"""Where a workspace keeps its ledger: the one place that turns settings into stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from instar.core.errors import UnknownName
from instar.core.policy import StoreSettings
from instar.ledger.artifact_stores import open_artifacts
from instar.ledger.checkpoints import FILE, Checkpoints, refuse_missing
from instar.ledger.extras import MissingExtra
from instar.ledger.journal import Journal, SqliteJournal
from instar.ledger.telling import Telling

__all__ = ["JOURNALS", "MissingExtra", "begun", "open_any", "open_artifacts", "open_journal"]


def _postgres(address: str, signing: Checkpoints) -> Journal:
    try:
        from instar.ledger.postgres import PostgresJournal  # an extra brings its driver
    except ImportError as error:
        raise MissingExtra("PostgreSQL", "postgres") from error
    return PostgresJournal(address, signing=signing)


# The first word of an address, and what opens it.
JOURNALS: Mapping[str, Callable[[str, Checkpoints], Journal]] = {
    "postgres": _postgres,
    "postgresql": _postgres,
}


def open_journal(root: Path, store: StoreSettings) -> Journal:
    """Open the journal of a workspace.

    Args:
        root: The workspace's own folder, `.instar`.
        store: Where the policy says that entries are kept.
    Raises:
        UnknownName: there is no journal of that kind.
        MissingExtra: its driver is not installed.
        OlderLedger: it is not all of what was signed here last.
    """
    journal = open_any(root, store)
    try:
        journal.refuse_older()
    except BaseException:
        journal.close()
        raise
    return journal


def open_any(root: Path, store: StoreSettings) -> Journal:
    """Open the journal of a workspace for an audit: an older database is not refused.

    Raises:
        OlderLedger: there is no database where there was one.
    """
    signing = Checkpoints(root, Telling(root, store.witnesses))
    if not store.journal:
        if not (root / "ledger.db").exists():
            refuse_missing(root)
        return SqliteJournal(root / "ledger.db", signing=signing)
    kind = store.journal.partition(":")[0]
    if kind not in JOURNALS:
        raise UnknownName("journal", kind, JOURNALS)
    return JOURNALS[kind](store.journal, signing)


def begun(root: Path, store: StoreSettings) -> bool:
    """Tell whether there is a journal already, so that looking does not make one."""
    return bool(store.journal) or any((root / name).exists() for name in ("ledger.db", FILE))
