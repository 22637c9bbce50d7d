"""Where a workspace keeps its ledger: the one place that turns settings into stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from instar.core.errors import UnknownName
from instar.core.policy import StoreSettings
from instar.ledger.artifacts import DirectoryArtifacts

if TYPE_CHECKING:
    from instar.ledger.journal import Journal
    from instar.ledger.sweep import Store

JOURNALS = ("sqlite",)
ARTIFACTS = ("folder", "s3")


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
    from instar.ledger.journal import SqliteJournal  # a gateway needs no database

    return SqliteJournal(root / "ledger.db")


def open_artifacts(root: Path, store: StoreSettings) -> Store:
    """Open the artifact store of a workspace.

    Args:
        root: The workspace's own folder, `.instar`.
        store: Where the policy says that artifacts are kept.
    Raises:
        UnknownName: there is no store of that kind.
        BadS3Url: the place in S3 is none.
        NoS3Library: boto3 is not installed.
    """
    folder = DirectoryArtifacts(root / "artifacts")
    if not store.artifacts:
        return folder
    if not store.artifacts.startswith("s3:"):
        raise UnknownName("artifact store", store.artifacts.partition(":")[0], ARTIFACTS)
    from instar.ledger.s3 import S3Artifacts, locate

    return S3Artifacts(locate(store.artifacts), folder)


def begun(root: Path, store: StoreSettings) -> bool:
    """Tell whether there is a journal already, so that looking does not make one."""
    return bool(store.journal) or (root / "ledger.db").exists()
