"""Who else keeps the checkpoints, out of reach of whoever could rewrite the ledger."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from instar.core.family import Family
from instar.ledger.witnesses.folder import Folder
from instar.ledger.witnesses.s3 import Bucket
from instar.ledger.witnesses.webhook import Webhook
from instar.ledger.witnesses.witness import Witness

WITNESSES: Family[Callable[[str, Path], Witness]] = Family(
    "witness",
    {
        "folder": Folder,
        "s3": Bucket,
        "webhook": Webhook,
    },
)
_SCHEMES = {"": "folder", "http": "webhook", "https": "webhook"}


def open_witness(address: str, root: Path) -> Witness:
    """Open a witness by its address: a folder, `s3://bucket/prefix`, `https://...`.

    A scheme of another kind names a member of the family.

    Args:
        root: What a folder's name is relative to.
    Raises:
        UnknownName: there is no such kind of witness.
    """
    scheme = urlsplit(address).scheme
    return WITNESSES[_SCHEMES.get(scheme, scheme)](address, root)


def shown(address: str) -> str:
    """Show an address without what could be a secret in it.

    Example:
        >>> shown("https://me:secret@example.com/log?token=secret")
        'https://example.com/log'
    """
    parts = urlsplit(address)
    if not parts.scheme:
        return address
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
