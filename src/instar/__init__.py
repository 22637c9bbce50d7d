"""Instar updates deep-learning models that already run in production.

Example:
    >>> import instar
    >>> instar.open("nowhere").champion()
    Traceback (most recent call last):
        ...
    instar.policy.errors.NoPolicy: ...
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instar.service import Workspace

__version__ = "0.1.0"


def open(  # noqa: A001  `instar.open(".")` is the name a caller expects
    root: Path | str = ".", *, by: str | None = None, settings: Sequence[str] = ()
) -> Workspace:
    """Open the folder that holds an `instar.yaml`.

    Args:
        root: The folder.
        by: Who acts; by default INSTAR_USER, or who is logged in.
        settings: Settings in place of the file's, as `key=value`.
    """
    from instar.service import Workspace

    return Workspace(root, by=by, settings=settings)
