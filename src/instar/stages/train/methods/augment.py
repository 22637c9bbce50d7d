"""Augmentation: rows made of the fresh ones are learnt from beside them, of rare classes most."""

from __future__ import annotations

from torch import nn

from instar.core.data import Task
from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.models.weights import State
from instar.stages.train.augment import KINDS
from instar.stages.train.augment.augmented import Augment
from instar.stages.train.augment.fitness import fit
from instar.stages.train.augment.kind import Layout
from instar.stages.train.augment.rarity import Quotas, quotas
from instar.stages.train.methods.part import Ground, Part

CODE = "augment"


def augment(ground: Ground, policy: TrainPolicy) -> Part:
    """Let rows made by `policy.augment` join each batch; without a kind there are none.

    Raises:
        UnfitKind: the data, or the task, have nothing for a kind.
    Source:
        The kinds stand in `instar.stages.train.augment`; that batches with more of the rare
        classes help networks most: Buda, Maki and Mazurowski 2018.
    """
    rule, how = policy.augment, ground.preprocessing
    if not rule.kinds or how is None:
        return Part()
    names = tuple(dict.fromkeys(rule.kinds))
    fit(rule, ground.task, image=how.image is not None, number=bool(how.numbers))
    known = quotas(ground.learn, ground.task, rule)
    layout = Layout.of(how, ground.task)
    asked = Augment([KINDS[name] for name in names], layout, rule, ground.task, known.ratio)
    finding = _told(names, known, ground.task, len(ground.learn))

    def finish(net: nn.Module, state: State) -> tuple[State, Finding]:
        return state, finding

    return Part(augment=asked, finish=finish)


def left_out(strategy: str) -> Finding:
    """Say that a strategy makes no steps in which rows could be augmented."""
    return Finding(
        CODE,
        Verdict.FAIL,
        f"no row was augmented: {strategy} makes no gradient steps",
        passes_if="another plan.strategy, or no train.augment.kinds",
        enforced=False,
    )


def _told(names: tuple[str, ...], known: Quotas, task: Task, rows: int) -> Finding:
    made = int(known.wanted.sum())
    if not made:
        message = "no row was augmented: no class is rarer than another"
    else:
        message = f"{', '.join(names)}: {made:,} augmented rows beside {rows:,} fresh ones an epoch"
        message += _by_class(known, task)
    return Finding(
        CODE,
        Verdict.PASS,
        message,
        measured=known.ratio,
        unit="rows per fresh row",
        n=rows,
        enforced=False,
    )


def _by_class(known: Quotas, task: Task) -> str:
    """Name the classes of which most was made, where each row has one."""
    if not task.exclusive or len(known.counts) == 1:
        return ""
    most = known.wanted.argsort(descending=True, stable=True)[:5].tolist()
    told = [
        f"{task.classes[place]} {int(known.counts[place]):,} + {int(known.wanted[place]):,}"
        for place in most
        if known.wanted[place]
    ]
    return f" ({', '.join(told)})"
