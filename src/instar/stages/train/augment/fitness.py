"""Whether kinds of augmentation go with the data: told before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from instar.core.data import Kind as Sort
from instar.core.data import Schema, Task
from instar.core.errors import InputError, PolicyError
from instar.core.policy import AugmentRule
from instar.stages.train.augment import KINDS

_KEY = "policy.train.augment"
_SORTS = {"image": Sort.IMAGE, "number": Sort.NUMBER}


class UnfitKind(PolicyError):
    """Refuse a kind that the data, or the task, have nothing for."""

    code = "policy.augment_kind"

    def __init__(self, wanted: str, name: str) -> None:
        super().__init__(f"{wanted} for {_KEY}.kinds", name, f"take {name} out")


class SingleRow(InputError):
    """Refuse a class with one row where rows are to be made between two of them."""

    code = "input.single_row"

    def __init__(self, name: str, column: str) -> None:
        super().__init__(
            f"at least two rows of each class in {column!r} for {_KEY}.kinds synthesise",
            f"one of {name!r}",
            "bring another one, or take resample in its place",
        )


def refuse(
    rule: AugmentRule, task: Task, schema: Schema, features: Sequence[str], frame: pl.DataFrame
) -> None:
    """Refuse what cannot be augmented as the policy says.

    Args:
        features: The columns that are learnt from.
        frame: The fresh rows; those without a label do not count.
    Raises:
        UnfitKind, SingleRow: what does not fit.
    """
    sorts = {schema[name].kind for name in features if name in schema}
    fit(rule, task, image=Sort.IMAGE in sorts, number=Sort.NUMBER in sorts)
    if "synthesise" in rule.kinds:
        counts = dict(frame[task.target].drop_nulls().value_counts().iter_rows())
        single = sorted(str(name) for name, count in counts.items() if count == 1)
        if single:
            raise SingleRow(single[0], task.target)


def fit(rule: AugmentRule, task: Task, *, image: bool, number: bool) -> None:
    """Refuse kinds that need what is not there.

    Raises:
        UnfitKind: the first of them.
    """
    for name in rule.kinds:
        kind = KINDS[name]
        if task.kind not in kind.tasks:
            known = ", ".join(sorted(one for one in KINDS if task.kind in KINDS[one].tasks))
            raise UnfitKind(
                f"kinds that keep the labels of a {task.kind.value} task ({known})", name
            )
        if kind.needs == "image" and not image:
            raise UnfitKind("kinds for rows without an image (resample, synthesise)", name)
        if kind.needs == "number" and not number:
            raise UnfitKind("kinds for rows without a number to draw between", name)
        if kind.needs == "number" and image:
            raise UnfitKind(
                "kinds for rows with an image (flip, rotate, scale, crop, resample)", name
            )
