"""The space of a tuning: which settings may be tried with which values.

A range is written as a list of choices, or as a text `0.3..0.5`, with ` log` behind it where
ratios count. It is read here, so that the policy's reader and the training refuse the same.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from instar.core.errors import PolicyError
from instar.core.policy import TrainPolicy, TuneRule

NETWORK = "network."
"""How the name of a network's option begins in a space."""
KEPT = {
    "augment": "is how rows are made",
    "auc": "reports, and trains nothing",
    "channels_last": "is a matter of speed",
    "checkpoint_s": "changes no weight",
    "deepen": "is the shape of the strategy grow",
    "dropout": "is the shape of the strategy grow; with full, network.dropout is tried",
    "ensemble": "is how trainings are put together",
    "full_epochs": "is `epochs` of another strategy",
    "methods": "is the strategy's to compose",
    "pretrained": "is a file that the request names",
    "precision": "is a matter of speed",
    "replay": "changes the rows that trials are judged on",
    "replay_min": "changes the rows that trials are judged on",
    "stream": "is a matter of memory",
    "threads": "changes no weight",
    "tune": "is the tuning",
    "widen": "is the shape of the strategy grow",
    "workers": "is a matter of speed",
}
"""Settings of the training that are not tuned, and why."""

Value: TypeAlias = float | int | str | bool | list[int]

_SPAN = re.compile(r"\s*(\S+?)\s*\.\.\s*(\S+?)(\s+log)?\s*")


class UnknownSetting(PolicyError):
    """Refuse to tune what is no setting of the training, and name the nearest that is."""

    code = "policy.unknown_setting"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1)
        todo = f"did you mean {near[0]!r}?" if near else "take it out"
        why = f", which {KEPT[name]}" if name in KEPT else ""
        wanted = f"in policy.train.tune.space one of {', '.join(known)}, or network.OPTION"
        super().__init__(wanted, f"{name!r}{why}", todo)


class NotARange(PolicyError):
    """Refuse what cannot be read as a range."""

    code = "policy.not_a_range"

    def __init__(self, name: str, kind: str, got: object) -> None:
        todo = "write [a, b, c], or low..high for numbers"
        super().__init__(f"{kind} for policy.train.tune.space.{name}", repr(got), todo)


class EmptyRange(PolicyError):
    """Refuse a range that holds nothing, or that ends before it begins."""

    code = "policy.empty_range"

    def __init__(self, name: str, got: object) -> None:
        wanted = f"a range that grows, or a list of choices, for policy.train.tune.space.{name}"
        super().__init__(wanted, repr(got), "write the smaller number first")


class BeyondBounds(PolicyError):
    """Refuse a range that leaves the values its setting may take."""

    code = "policy.beyond_bounds"

    def __init__(self, name: str, wanted: str, got: object) -> None:
        wanted = f"values {wanted} for policy.train.tune.space.{name}"
        super().__init__(wanted, repr(got), "narrow the range")


class EmptySpace(PolicyError):
    """Refuse a space in which there is nothing to choose."""

    code = "policy.empty_space"

    def __init__(self) -> None:
        wanted = "in policy.train.tune.space a setting with at least two values"
        todo = "add a value, or leave the space empty for the strategy's own"
        super().__init__(wanted, "one value for each setting", todo)


class UnlistedGrid(PolicyError):
    """Refuse a grid over a range that has no end of values."""

    code = "policy.unlisted_grid"

    def __init__(self, name: str, got: object) -> None:
        wanted = f"a list for policy.train.tune.space.{name}, since tune.sampler is grid,"
        super().__init__(wanted, repr(got), "write [a, b, c], or take another sampler")


@dataclass(frozen=True, slots=True)
class Range:
    """What one setting may be: one of `choices`, or a number from `low` to `high`."""

    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high


def read(rule: TuneRule) -> dict[str, Range]:
    """Read the space of a tuning by the names of its settings; empty where the policy's is.

    Raises:
        UnknownSetting, NotARange, EmptyRange, BeyondBounds, EmptySpace, UnlistedGrid: what does
            not hold.
    Example:
        >>> space = {"lr": "1e-4..1e-2 log", "network.hidden": [[64], [64, 64]]}
        >>> for name, range in read(TuneRule(space=space)).items():
        ...     print(name, range.low, range.high, range.log, range.choices)
        lr 0.0001 0.01 True ()
        network.hidden 0.0 0.0 False ([64], [64, 64])
        >>> read(TuneRule(space={"weight_decy": [0, 0.1]}))
        Traceback (most recent call last):
        instar.core.space.UnknownSetting: wanted in policy.train.tune.space one of ...
    """
    space = {name: _range(name, given) for name, given in _flat(rule.space).items()}
    if rule.sampler == "grid":
        for name, one in space.items():
            if not one.choices:
                raise UnlistedGrid(name, _flat(rule.space)[name])
    if space and all(len(one.choices) == 1 for one in space.values()):
        raise EmptySpace
    return space


def tunable() -> list[str]:
    """List the settings of the training that a tuning may try.

    Example:
        >>> "lr" in tunable(), "threads" in tunable()
        (True, False)
    """
    return [field.name for field in dataclasses.fields(TrainPolicy) if field.name not in KEPT]


def _flat(space: Mapping[str, Any]) -> dict[str, Any]:
    """Write `network: {hidden: ...}` as `network.hidden: ...`."""
    flat: dict[str, Any] = {}
    for name, given in space.items():
        if name == NETWORK[:-1] and isinstance(given, Mapping):
            flat |= {f"{NETWORK}{option}": one for option, one in given.items()}
        else:
            flat[name] = given
    return flat


def _range(name: str, given: Any) -> Range:
    kind, bounds = _kind(name)
    if isinstance(given, list | tuple):
        return _choices(name, given, kind, bounds)
    if not isinstance(given, str) or kind in (str, bool):
        raise NotARange(name, "a list" if kind in (str, bool) else "a range or a list", given)
    return _span(name, given, kind, bounds)


def _kind(name: str) -> tuple[type | None, Mapping[str, float]]:
    """Tell a setting's type and bounds; those of a network's option are its family's to know."""
    if name.startswith(NETWORK) and name != NETWORK:
        return None, {}
    if name not in tunable():
        raise UnknownSetting(name, tunable())
    [field] = [field for field in dataclasses.fields(TrainPolicy) if field.name == name]
    hint = typing.get_type_hints(TrainPolicy)[name]
    [kind] = [one for one in (typing.get_args(hint) or (hint,)) if one is not type(None)]
    return kind, field.metadata["bounds"]


def _choices(
    name: str, given: Sequence[Any], kind: type | None, bounds: Mapping[str, float]
) -> Range:
    if not given:
        raise EmptyRange(name, list(given))
    for value in given:
        if not _fits(value, kind):
            wanted = f"choices that are each {_NAMES[kind]}"
            raise NotARange(name, wanted, value)
        if kind in (int, float):
            _bounded(name, value, bounds)
    plain = [list(value) if isinstance(value, tuple) else value for value in given]
    return Range(choices=tuple(value for i, value in enumerate(plain) if value not in plain[:i]))


_NAMES: Mapping[type | None, str] = {
    float: "a number",
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    None: "a number, a text, true, false or a list of whole numbers",
}


def _fits(value: Any, kind: type | None) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if isinstance(value, list | tuple):
        return kind is None and all(type(part) is int for part in value)
    if kind is None:
        return isinstance(value, float | int | str)
    if kind is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    return type(value) is kind


def _span(name: str, given: str, kind: type | None, bounds: Mapping[str, float]) -> Range:
    found = _SPAN.fullmatch(given)
    try:
        low, high = (float(part) for part in found.groups()[:2]) if found else (0.0, 0.0)
    except ValueError:
        found = None
    if found is None or not (math.isfinite(low) and math.isfinite(high)):
        raise NotARange(name, "a range or a list", given)
    whole = kind is int or (kind is None and not re.search(r"[.eE]", found[1] + found[2]))
    if whole and not (low.is_integer() and high.is_integer()):
        raise NotARange(name, "a range of whole numbers", given)
    if not low < high:
        raise EmptyRange(name, given)
    log = found[3] is not None
    if log and low <= 0:
        raise BeyondBounds(name, "above 0, since it is log,", given)
    for end in (low, high):
        _bounded(name, end, bounds)
    return Range(low=low, high=high, log=log, whole=whole)


_BOUNDS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "ge": ("of at least {:g}", operator.ge),
    "gt": ("above {:g}", operator.gt),
    "le": ("of at most {:g}", operator.le),
    "lt": ("below {:g}", operator.lt),
}


def _bounded(name: str, value: float, bounds: Mapping[str, float]) -> None:
    for key, bound in bounds.items():
        words, holds = _BOUNDS[key]
        if not holds(value, bound):
            raise BeyondBounds(name, words.format(bound), value)
