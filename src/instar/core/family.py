"""A family: members under names, in a table that a person writes.

Importing a member does not register it; the line in the family's table does. Other packages
join by an entry point in the group `instar.<family>`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Generic, TypeVar

from instar.core.errors import TakenName, UnknownName

T = TypeVar("T")


class Family(Mapping[str, T], Generic[T]):
    """Look members up by name; an unknown name lists the known ones.

    Example:
        >>> shapes = Family("shape", {"round": 1, "square": 2})
        >>> shapes["round"]
        1
        >>> shapes["sqare"]
        Traceback (most recent call last):
            ...
        instar.core.errors.UnknownName: wanted a shape out of round, square; got 'sqare'; \
did you mean 'square'?
    """

    def __init__(self, kind: str, table: Mapping[str, T]) -> None:
        self.kind = kind
        self._own = dict(table)

    @functools.cached_property
    def _all(self) -> dict[str, T]:
        members = dict(self._own)
        for point in metadata.entry_points(group=f"instar.{self.kind}"):
            if point.name in members:
                raise TakenName(self.kind, point.name)
            members[point.name] = point.load()
        return members

    def __getitem__(self, name: str) -> T:
        if name not in self._all:
            raise UnknownName(self.kind, name, self._all)
        return self._all[name]

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)
