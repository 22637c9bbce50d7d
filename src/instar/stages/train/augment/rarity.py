"""How many rows are made of which class: the rarer it is, the more."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from instar.core.data import Task
from instar.core.policy import AugmentRule
from instar.models.tasks import lesson_of
from instar.stages.train.rows import Rows


@dataclass(frozen=True, slots=True)
class Quotas:
    """Rows made of each class in an epoch: `wanted` beside the `counts` there are, (groups,) both.

    `group` is the class of each row, (n,).
    """

    group: torch.Tensor
    counts: torch.Tensor
    wanted: torch.Tensor

    @property
    def ratio(self) -> float:
        """Say how many rows are made per fresh row."""
        return float(self.wanted.sum()) / max(1, len(self.group))

    def groups(self) -> tuple[torch.Tensor, ...]:
        """List the places of the rows of each class of which rows are made."""
        made = self.wanted.nonzero().flatten().tolist()
        return tuple((self.group == one).nonzero().flatten() for one in made)

    def drawn(self, rows: int, random: torch.Generator) -> torch.Tensor:
        """Draw the places of `rows` rows to make others of, (rows,), in any order.

        Those of a class are used up before one comes twice.
        """
        groups = [places.cpu() for places in self.groups()]
        wanted = self.wanted[self.wanted > 0].tolist()
        deck = torch.zeros(0, dtype=torch.int64)
        while groups and len(deck) < rows:
            dealt = []
            for places, count in zip(groups, wanted, strict=True):
                order = places[torch.randperm(len(places), generator=random)]
                dealt.append(order.repeat(-(-count // len(places)))[:count])
            one = torch.cat(dealt)
            deck = torch.cat([deck, one[torch.randperm(len(one), generator=random)]])
        return deck[:rows]


def quotas(rows: Rows, task: Task, rule: AugmentRule) -> Quotas:
    """Count the classes, and say how many rows are made of each.

    With `who: rare`, as many as lift a class to the commonest one, but at most `copies` for each
    of its rows, and all together at most `share` of the rows there are. With `who: all`, `share`
    of each.

    Example:
        >>> labels = torch.tensor([0] * 90 + [1] * 8 + [2] * 2)
        >>> rows = Rows((torch.zeros(100, 1),), labels)
        >>> from instar.core.data import TaskKind
        >>> task = Task(TaskKind.MULTICLASS, "y", ("a", "b", "c"))
        >>> quotas(rows, task, AugmentRule(copies=20, share=2.0)).wanted.tolist()
        [0, 82, 40]
        >>> quotas(rows, task, AugmentRule(copies=20, share=0.61)).wanted.tolist()
        [0, 41, 20]
    """
    if rule.who == "all":
        group = torch.zeros(len(rows), dtype=torch.int64)
        counts = torch.tensor([len(rows)])
        return Quotas(group, counts, (counts * rule.share).round().long())
    group = lesson_of(task).rarest(rows.labels.cpu())
    counts = group.bincount()
    wanted = torch.minimum(counts.max() - counts, counts * rule.copies).float()
    most = rule.share * len(rows)
    if wanted.sum() > most:
        wanted = wanted * (most / wanted.sum())
    return Quotas(group, counts, wanted.round().long())
