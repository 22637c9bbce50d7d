"""What may stand in `instar.yaml`: pydantic models made from the sections of `core.policy`."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from instar.core.errors import PolicyError
from instar.core.policy import DataSettings, Policy, ServeSettings, StoreSettings, setting
from instar.core.secret import veiled
from instar.policy.document import Document, Keys


def _needed(doc: str) -> Any:
    return dataclasses.field(metadata={"doc": doc, "bounds": {}})


@dataclasses.dataclass(frozen=True, slots=True)
class TaskSettings:
    kind: Literal[
        "binary", "multiclass", "regression", "multilabel", "segmentation", "detection"
    ] = _needed("what kind of answer")
    target: str = setting("", "column with the answer; needed but for multilabel")
    targets: tuple[str, ...] = setting(
        (), "multilabel: the columns of 0 and 1, one for each label, in the network's order"
    )
    thresholds: tuple[float, ...] = setting(
        (), "multilabel, detection: from which score on each label is given; empty: 0.5 for all"
    )
    classes: tuple[str, ...] = setting(
        (), "labels in the network's order; binary: negative, positive; empty: sorted"
    )
    time: str | None = setting(None, "column with the time of a row")
    id: str | None = setting(None, "column that tells rows apart")


class UnknownKey(PolicyError):
    """Refuse a key that means nothing, and name the nearest one that does."""

    code = "policy.unknown_key"

    def __init__(self, key: str, origin: str, known: Iterable[str]) -> None:
        section, _, name = key.rpartition(".")
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
        todo = f"did you mean {near[0]!r}?" if near else "take it out"
        wanted = f"in {section or 'the file'} one of {', '.join(sorted(known))}"
        super().__init__(wanted, f"{name!r} ({origin})", todo)


class WrongType(PolicyError):
    """Refuse a value of the wrong type."""

    code = "policy.wrong_type"

    def __init__(self, key: str, wanted: str, value: Any, origin: str, todo: str) -> None:
        super().__init__(f"{wanted} for {key}", f"{shown(value)} ({origin})", todo)


class ImpossibleValue(PolicyError):
    """Refuse a value that its setting cannot take."""

    code = "policy.impossible_value"

    def __init__(
        self, key: str, wanted: str, value: Any, origin: str, todo: str = "choose another value"
    ) -> None:
        super().__init__(f"{wanted} for {key}", f"{shown(value)} ({origin})", todo)


class MissingKey(PolicyError):
    """Ask for a setting that has no default."""

    code = "policy.missing_key"

    def __init__(self, key: str, example: str) -> None:
        super().__init__(f"the setting {key}", "nothing", f"write, say, `{example}`")


_EXAMPLES = {
    "model": "model: demand",
    "task": "task: {kind: binary, target: up}",
    "task.kind": "kind: binary",
    "task.target": "target: up",
    "task.targets": "targets: [rain, wind]",
    "network": "network: nets:build",
}
_TYPES = {  # pydantic's word -> what was wanted, what to do
    "float_type": ("a number", "write a number without quotes"),
    "int_type": ("a whole number", "write a whole number without quotes"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "string_type": ("a text", "put it in quotes"),
    "tuple_type": ("a list", "write [a, b]"),
    "dict_type": ("a section", "write key: value, or take the line out"),
    "model_type": ("a section", "write key: value, or take the line out"),
}
_BOUNDS = {  # pydantic's word -> what was wanted
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
    "finite_number": "a finite number",
    "string_too_short": "a text that is not empty",
    "string_unicode": "a text without half characters",
}


def shown(value: Any) -> str:
    """Write a value for a message: JSON, at most 60 characters, no password.

    Example:
        >>> shown([True, None, "a"])
        '[true, null, "a"]'
    """
    text = veiled(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else text[:57] + "..."


def _strict(hint: Any) -> Any:
    """Turn a type hint into one that pydantic takes literally: no text becomes a number."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return section(hint)
    if hint in (float, int, bool, str):
        return Annotated[hint, Field(strict=True)]
    if origin is tuple:
        return tuple[_strict(args[0]), ...]  # type: ignore[misc] # made at run time
    if origin is Mapping:
        return dict[str, _strict(args[1])]  # type: ignore[misc] # made at run time
    if type(None) in args:
        return _strict(args[0]) | None
    return hint


@functools.cache
def section(cls: type, *but: str) -> type[BaseModel]:
    """Make the model of a section, without the fields named in `but`."""
    hints = typing.get_type_hints(cls)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name not in but:
            needed = field.default is field.default_factory is dataclasses.MISSING
            bounds = field.metadata["bounds"]
            hint = Annotated[_strict(hints[field.name]), Field(**bounds)]  # type: ignore[valid-type] # made at run time
            # Behind an alias, since a model has attributes of its own (`validate`).
            default = ... if needed else None
            fields[f"{field.name}_"] = (hint, Field(default, alias=field.name))
    config = ConfigDict(extra="forbid", allow_inf_nan=False, str_min_length=1)
    return create_model(cls.__name__, __config__=config, **fields)


@functools.cache
def whole() -> type[BaseModel]:
    """Make the model of the whole file. `network` has its own shape: see `network.py`."""
    text = Annotated[str, Field(strict=True)]
    return create_model(
        "File",
        __config__=ConfigDict(extra="forbid", str_min_length=1),
        model_=(text, Field(alias="model")),
        task_=(section(TaskSettings), Field(alias="task")),
        network_=(Any, Field(alias="network")),
        data_=(section(DataSettings), Field(None, alias="data")),
        store_=(section(StoreSettings), Field(None, alias="store")),
        serve_=(section(ServeSettings), Field(None, alias="serve")),
        policy_=(section(Policy, "data"), Field(None, alias="policy")),
    )


def check(document: Document) -> None:
    """Hold a document against the model; the first mistake is told.

    Raises:
        UnknownKey, WrongType, ImpossibleValue, MissingKey: what the mistake is.
    """
    try:
        whole().model_validate(document.tree)
    except ValidationError as error:
        raise _mistake(error.errors(include_url=False)[0], document) from error
    task = document.tree["task"]
    needed = "targets" if task["kind"] == "multilabel" else "target"
    if needed not in task:
        raise MissingKey(f"task.{needed}", _EXAMPLES[f"task.{needed}"])


def _mistake(found: Any, document: Document) -> PolicyError:
    keys: Keys = tuple(str(part) for part in found["loc"])
    key, kind, value, origin = ".".join(keys), found["type"], found["input"], document.origin(keys)
    if kind == "extra_forbidden":
        return UnknownKey(key, origin, _known(keys[:-1]))
    if kind == "missing":
        return MissingKey(key, _EXAMPLES[key])
    if kind == "literal_error":
        return _choice(key, found["ctx"]["expected"], value, origin)
    if kind in _TYPES:
        wanted, todo = _TYPES[kind]
        return WrongType(key, wanted, value, origin, todo)
    return ImpossibleValue(key, _BOUNDS[kind].format(**found.get("ctx", {})), value, origin)


def _choice(key: str, expected: str, value: Any, origin: str) -> PolicyError:
    known = expected.replace(" or ", ", ").replace("'", "").split(", ")
    near = difflib.get_close_matches(str(value), known, n=1)
    todo = f"did you mean {near[0]!r}?" if near else "choose one of them"
    return ImpossibleValue(key, f"one of {', '.join(known)}", value, origin, todo)


def _known(keys: Keys) -> list[str]:
    """List what may stand in a section, going down the models by its keys."""
    here: Any = whole()
    for name in keys:
        if isinstance(here, type):
            here = _fields(here)[name].annotation
        else:  # a list or a mapping of sections: the key is an item's
            here = typing.get_args(here)[1 if typing.get_origin(here) is dict else 0]
    return list(_fields(here))


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {str(field.alias): field for field in model.model_fields.values()}
