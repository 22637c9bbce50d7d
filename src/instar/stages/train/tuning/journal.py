"""What a tuning has behind it, on disk: its trials, the one under way, and the best one's weights.

A small JSON file with the digest of the rest in its first line; the best trial's weights lie
beside it as a checkpoint does. No pickle: what a sampler remembers as one is not kept.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from instar.core.codec import decode, encode
from instar.core.digest import digest_bytes
from instar.core.tools import Folder
from instar.stages.train import kept
from instar.stages.train.attempt import Ended

NAME = "tuning.json"


@dataclass(frozen=True, slots=True)
class Line:
    """A trial as the sampler and the pruner must see it again.

    `params` are its settings in Optuna's values, `reports` what the pruner heard by epoch,
    `attrs` what the sampler wrote to it. `state` is Optuna's word for how it ended.
    """

    number: int
    params: Mapping[str, Any]
    value: float | None
    state: str
    reports: Mapping[str, float]
    attrs: Mapping[str, Any]
    epochs: int
    cpu_s: float
    passes: int


@dataclass(frozen=True, slots=True)
class Running:
    """The trial under way: what it tries, and what the pruner heard of it."""

    number: int
    params: Mapping[str, Any] = field(default_factory=dict)
    reports: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _File:
    key: str
    spent_s: float = 0.0
    lines: tuple[Line, ...] = ()
    running: Running | None = None


class Journal:
    """Keep the trials of the tuning `key`; whatever stands there of another one is not read.

    `spent_s` are the seconds that the tuning has taken, over all its beginnings.
    """

    def __init__(self, folder: Folder, key: str) -> None:
        self._folder, self.key = folder, key
        kept = _read(folder, key)
        self.spent_s, self.lines, self.running = kept.spent_s, list(kept.lines), kept.running

    def keep(self) -> None:
        """Write all of it in the place of the last one."""
        whole = _File(self.key, self.spent_s, tuple(self.lines), self.running)
        data = json.dumps(encode(whole)).encode()
        self._folder.keep(NAME, [f"{digest_bytes(data)}\n".encode(), data])

    def end(self, line: Line) -> None:
        """Add a trial that has ended, and let the one under way go."""
        self.lines.append(line)
        self.running = None
        self.keep()

    def keep_best(self, number: int, ended: Ended) -> None:
        """Keep what the best trial came to; it counts once the trial itself is there."""
        kept.keep(self._folder, self._key(number), ended)

    def best(self, number: int) -> Ended | None:
        """Read what a trial came to; None where the disk does not have it (any more)."""
        return kept.read(self._folder, self._key(number))

    def _key(self, number: int) -> str:
        return f"{self.key}/{number}"


def _read(folder: Folder, key: str) -> _File:
    try:
        first, _, data = folder.read(NAME).partition(b"\n")
    except FileNotFoundError:
        return _File(key)
    if first != digest_bytes(data).encode():
        return _File(key)  # damaged: to begin again gives the same trials, only later
    kept = json.loads(data)
    if kept["key"] != key or set(kept) != {f.name for f in dataclasses.fields(_File)}:
        return _File(key)
    return decode(_File, kept)
