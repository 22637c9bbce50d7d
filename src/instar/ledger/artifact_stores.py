"""Where a workspace keeps its artifacts, by the settings; a gateway needs this and no database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from instar.core.errors import UnknownName
from instar.ledger.artifacts import DirectoryArtifacts

if TYPE_CHECKING:  # a gateway starts without the policy's sections
    from instar.core.policy import StoreSettings
    from instar.ledger.sweep import Store

KINDS = ("folder", "s3")


def open_artifacts(root: Path, store: StoreSettings) -> Store:
    """Open the artifact store of a workspace.

    Args:
        root: The workspace's own folder, `.instar`.
        store: Where the policy says that artifacts are kept.
    Raises:
        UnknownName: there is no store of that kind.
        BadS3Url: the place in S3 is none.
        MissingExtra: boto3 is not installed.
    """
    return open_at(root, store.artifacts)


def open_at(root: Path, place: str) -> Store:
    """Open an artifact store by its place alone, as `store.artifacts` says it.

    Raises:
        UnknownName, BadS3Url, MissingExtra: as `open_artifacts` does.
    """
    folder = DirectoryArtifacts(root / "artifacts")
    if not place:
        return folder
    if not place.startswith("s3:"):
        raise UnknownName("artifact store", place.partition(":")[0], KINDS)
    from instar.ledger.s3 import S3Artifacts, locate

    return S3Artifacts(locate(place), folder)


def rate_of(root: Path, store: StoreSettings) -> float | None:
    """Measure how fast a store elsewhere is read, in bytes per second; None where nothing can be.

    Raises:
        BackendError: it does not answer.
    """
    opened = open_artifacts(root, store)
    if isinstance(opened, DirectoryArtifacts):
        return None
    from instar.ledger.s3 import S3Artifacts

    return opened.rate() if isinstance(opened, S3Artifacts) else None
