"""Turn records into JSON values and back, by their type hints alone.

A record is a frozen dataclass of plain values, other records, tuples, dicts with text keys,
enums and optionals. Nothing else: what cannot be written here does not belong in a record.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, Union, cast

from instar.core.errors import IntegrityError

T = TypeVar("T")


class BadRecord(IntegrityError):
    """Refuse stored JSON that is not the record it should be."""

    code = "integrity.bad_record"

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(f"a {kind} record", problem, "run `instar audit verify`")


def encode(value: Any) -> Any:
    """Write a record as a JSON value; NaN and infinities become null.

    Example:
        >>> from instar.core.finding import Verdict
        >>> encode((Verdict.PASS, 1.5, float("nan")))
        ['pass', 1.5, None]
    """
    match value:
        case None | bool() | int() | str() if not isinstance(value, enum.Enum):
            return value
        case enum.Enum():
            return value.value
        case float():
            return value if math.isfinite(value) else None
        case tuple() | list():
            return [encode(item) for item in value]
        case Mapping():
            return {str(key): encode(item) for key, item in value.items()}
        case _ if dataclasses.is_dataclass(value):
            return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


def filed(record: Any) -> Any:
    """Write a record as it will be written again once it was read back.

    A whole number in the place of a fraction becomes one, so that the digest of what is filed is
    the digest of the record, whoever computes it.

    Example:
        >>> from instar.core.finding import Interval
        >>> filed(Interval(0, 1, 0.95))
        {'low': 0.0, 'high': 1.0, 'level': 0.95}
    """
    return encode(decode(type(record), encode(record)))


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def decode(cls: type[T], value: Any) -> T:
    """Read a record back from its JSON value.

    Fields that the JSON lacks take their default; unknown fields are refused.

    Raises:
        BadRecord: the JSON does not fit the record.
    Example:
        >>> from instar.core.finding import Interval
        >>> decode(Interval, {"low": 0.1, "high": 0.3, "level": 0.95})
        Interval(low=0.1, high=0.3, level=0.95)
    """
    return cast(T, _decode(cls, value))


def _decode(hint: Any, value: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        plain = [arg for arg in args if arg is not type(None)]
        if len(plain) == 1:
            return _decode(plain[0], value)
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise BadRecord("list", f"a {type(value).__name__}")
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_decode(args[0], item) for item in value)
        return tuple(_decode(arg, item) for arg, item in zip(args, value, strict=True))
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, dict):
            raise BadRecord("mapping", f"a {type(value).__name__}")
        return {key: _decode(args[1], item) for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _decode_record(hint, value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        try:
            return hint(value)
        except ValueError as error:
            raise BadRecord(hint.__name__, repr(value)) from error
    if hint is str and not isinstance(value, str):
        raise BadRecord("text", f"a {type(value).__name__}")
    if hint is float:
        return math.nan if value is None else float(value)
    return value


def _decode_record(cls: type, value: Any) -> Any:
    if not isinstance(value, dict):
        raise BadRecord(cls.__name__, f"a {type(value).__name__}")
    hints = _hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}
    if strange := sorted(set(value) - fields):
        raise BadRecord(cls.__name__, f"the unknown field {strange[0]!r}")
    try:
        return cls(**{name: _decode(hints[name], item) for name, item in value.items()})
    except TypeError as error:
        raise BadRecord(cls.__name__, str(error)) from error
