"""Write the page of all settings: `python -m instar.policy.page > docs/policy.md`."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from instar.core.codec import encode
from instar.core.policy import Policy, ServeSettings, StoreSettings
from instar.policy.schema import TaskSettings

_HEAD = """\
# The policy: every setting

`instar.yaml` says what a model line is and what its updates may do. Three settings are needed; all
others have the default that stands here.

    model: demand                        # its name: letters, digits, '.', '_', '-'
    task: {kind: binary, target: up}     # what is predicted
    network: nets:build                  # module:function, or {family: mlp, hidden: [64, 64]}
    policy:
      validate: {metrics: {auroc: {min: 0.85, margin: 0.005}}, flips: {max: 0.02}}

A setting is taken from the first place that has it:

1. the command line: `--set policy.validate.flips.max=0.1`, `--set 'data.ignore=[a, b]'`;
2. the environment: `INSTAR_POLICY__VALIDATE__FLIPS__MAX=0.1`, two underscores between the names;
3. the file;
4. its default.

`instar policy show` prints every value in force and where it is from. Values are YAML 1.2: `true`
and `false` are the only booleans, dates are texts, `1e-4` is a number. Unknown and repeated keys,
wrong types, impossible values, anchors and tags are refused, with the line. Shares are fractions.
The options of a network family stand beside `family`. Where the last dense layer that a network
declares is not the one that makes its logits, name that one: `{build: nets:build, head: top.2}`.

The *digest* of a policy names its values, not the way they were written; every update carries it.
"""
_ROW = "| setting | default | may be | means |\n|---|---|---|---|"
_WORDS = {"ge": "≥ {:g}", "gt": "> {:g}", "le": "≤ {:g}", "lt": "< {:g}"}
_TYPES = {float: "number", int: "whole number", str: "text", bool: "true, false"}


def page() -> str:
    """Write the page, one table per section."""
    parts = [_HEAD, *_table("task", TaskSettings)]
    parts += _table("store", StoreSettings)
    parts += _table("serve", ServeSettings)
    for name, hint in typing.get_type_hints(Policy).items():
        parts += _table(name if name == "data" else f"policy.{name}", hint)
    return "\n".join(parts) + "\n"


def _table(title: str, section: type) -> Iterator[str]:
    yield f"## {title}\n\n{_ROW}"
    yield from _rows("", section)
    yield ""


def _rows(prefix: str, section: type) -> Iterator[str]:
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        name, hint = f"{prefix}{field.name}", hints[field.name]
        args = typing.get_args(hint)
        if dataclasses.is_dataclass(hint):
            yield from _rows(f"{name}.", typing.cast(type, hint))
            continue
        yield f"| `{name}` | {_default(field)} | {_domain(hint, field)} | {field.metadata['doc']} |"
        if typing.get_origin(hint) is Mapping and dataclasses.is_dataclass(args[1]):
            yield from _rows(f"{name}.NAME.", typing.cast(type, args[1]))
        elif typing.get_origin(hint) is tuple and dataclasses.is_dataclass(args[0]):
            yield from _rows(f"{name}[].", typing.cast(type, args[0]))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "*needed*"
    if value is None or value == "":
        return "empty"
    return f"`{value if isinstance(value, str) else json.dumps(encode(value))}`"


def _domain(hint: Any, field: dataclasses.Field[Any]) -> str:
    bounds = [_WORDS[name].format(bound) for name, bound in field.metadata["bounds"].items()]
    return ", ".join([_type(hint), *bounds])


def _type(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in args)
    if origin is tuple:
        if typing.get_origin(args[0]) is Literal:
            return f"list of {_type(args[0])}"
        return "list" if dataclasses.is_dataclass(args[0]) else f"list of {_type(args[0])}s"
    if origin is Mapping:
        return "section"
    if type(None) in args:
        return f"{_type(args[0])}, empty"
    return _TYPES[hint]


if __name__ == "__main__":
    print(page(), end="")
