"""A file of a bundle. By itself, since a gateway needs it and none of the other records."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """One file of a bundle: its name there, its digest in the artifact store, bytes."""

    name: str
    digest: str
    size: int
