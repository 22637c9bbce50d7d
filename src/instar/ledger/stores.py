"""Where a workspace keeps its ledger: the one place that turns settings into stores."""

from __future__ import annotations

from pathlib import Path

from instar.core.errors import UnknownName
from instar.core.policy import StoreSettings
from instar.core.tools import Artifacts
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import Journal, SqliteJournal

JOURNALS = ("sqlite",)
ARTIFACTS = ("folder",)


def open_journal(root: Path, store: StoreSettings) -> Journal:
    """Open the journal of a workspace.

    Args:
        root: The workspace's own folder, `.instar`.
        store: Where the policy says that entries are kept.
    Raises:
        UnknownName: there is no journal of that kind.
    """
    if store.journal:
        raise UnknownName("journal", store.journal.partition(":")[0], JOURNALS)
    return SqliteJournal(root / "ledger.db")


def open_artifacts(root: Path, store: StoreSettings) -> Artifacts:
    """Open the artifact store of a workspace.

    Args:
        root: The workspace's own folder, `.instar`.
        store: Where the policy says that artifacts are kept.
    Raises:
        UnknownName: there is no store of that kind.
    """
    if store.artifacts:
        raise UnknownName("artifact store", store.artifacts.partition(":")[0], ARTIFACTS)
    return DirectoryArtifacts(root / "artifacts")


def begun(root: Path, store: StoreSettings) -> bool:
    """Tell whether there is a journal already, so that looking does not make one."""
    return bool(store.journal) or (root / "ledger.db").exists()
