"""Rows as tensors, held once; a batch is a slice of shuffled row numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl
import torch

from instar.core.data import Preprocessing, Task
from instar.data import preprocessing as prepare
from instar.models.predict import tensors
from instar.models.tasks import lesson_of


@dataclass(frozen=True, slots=True)
class Rows:
    """Hold a network's call arguments, each (n, ...), and labels.

    Labels are int64 (n,) class places for a multiclass task, else float32 (n, 1). `teacher` are
    the champion's logits (n, k), and `trust` (n,) how far its answer counts beside the label's
    loss, from 0; none means not at all. The first `fresh` rows are learnt and the rest replayed;
    None where all are of one kind.
    """

    inputs: tuple[torch.Tensor, ...]
    labels: torch.Tensor
    teacher: torch.Tensor | None = None
    trust: torch.Tensor | None = None
    fresh: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: torch.Tensor) -> Rows:
        """Copy the rows at `places`, int64 (m,)."""
        return Rows(
            tuple(part[places] for part in self.inputs),
            self.labels[places],
            None if self.teacher is None else self.teacher[places],
            None if self.trust is None else self.trust[places],
        )

    def to(self, place: torch.device) -> Rows:
        """Move the rows to a device; those that are there already stay as they are."""
        return replace(
            self,
            inputs=tuple(part.to(place) for part in self.inputs),
            labels=self.labels.to(place),
            teacher=None if self.teacher is None else self.teacher.to(place),
            trust=None if self.trust is None else self.trust.to(place),
        )

    @property
    def size(self) -> int:
        """Count the bytes."""
        parts = (*self.inputs, self.labels, self.teacher, self.trust)
        return sum(part.nbytes for part in parts if part is not None)


def of(frame: pl.DataFrame, preprocessing: Preprocessing, task: Task) -> Rows:
    """Read a table's rows through the preprocessing."""
    labels = lesson_of(task).labels(prepare.labels(frame, task))
    return Rows(tensors(prepare.inputs(frame, preprocessing)), labels)


def trusting(rows: Rows, trust: torch.Tensor) -> Rows:
    """Trust the rows' teacher, (n,), where it was not trusted more already."""
    if rows.teacher is None:
        return rows
    return replace(rows, trust=trust if rows.trust is None else torch.maximum(rows.trust, trust))


def join(first: Rows, second: Rows) -> Rows:
    """Put rows below each other; where only one side has a teacher, the other trusts nobody."""
    inputs = tuple(torch.cat(pair) for pair in zip(first.inputs, second.inputs, strict=True))
    fresh = len(first) if first.fresh is None else first.fresh
    joined = Rows(inputs, torch.cat([first.labels, second.labels]), fresh=fresh)
    teacher = first.teacher if first.teacher is not None else second.teacher
    if teacher is None:
        return joined
    sides = [_taught(side, teacher.shape[1:]) for side in (first, second)]
    trusted = any(side.trust is not None for side in (first, second))
    return replace(
        joined,
        teacher=torch.cat([teacher for teacher, _ in sides]),
        trust=torch.cat([trust for _, trust in sides]) if trusted else None,
    )


def _taught(rows: Rows, outputs: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
    nobody = torch.zeros(len(rows), device=rows.labels.device)
    if rows.teacher is None:
        return torch.zeros(len(rows), *outputs, device=rows.labels.device), nobody
    return rows.teacher, nobody if rows.trust is None else rows.trust
