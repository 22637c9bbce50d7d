"""The `network` setting: `module:function`, or a family with its options beside it."""

from __future__ import annotations

import re
from typing import Any

from instar.core.records import Network
from instar.policy.document import Document
from instar.policy.schema import ImpossibleValue, UnknownKey, WrongType

FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)

_OWN = ("build", "family", "head")  # whatever else stands there is an option of the family
_LONGEST = 200  # characters; a file system takes 255 for one name


def network(document: Document) -> Network:
    """Read where the network comes from.

    Raises:
        UnknownKey: options beside a function, which takes none.
        WrongType: neither a text nor a section, or an option that is no plain value.
        ImpossibleValue: neither function nor family, both, or no `module:function`.
    Example:
        >>> network(Document({"network": {"family": "mlp", "hidden": [64, 64]}}, {}))
        Network(build=None, family='mlp', options={'hidden': [64, 64]}, ...)
    """
    value = document.tree["network"]
    if isinstance(value, str):
        value = {"build": value}
    if not isinstance(value, dict):
        todo = "write nets:build or {family: mlp}"
        raise WrongType(
            "network", "a text or a section", value, document.origin(("network",)), todo
        )
    build, family, head = (_text(document, value, name) for name in _OWN)
    if (build is None) == (family is None):
        wanted = "either build or family"
        raise ImpossibleValue("network", wanted, value, document.origin(("network",)))
    options = {key: item for key, item in value.items() if key not in _OWN}
    if build is not None:
        _function(document, build, options)
    for name, item in options.items():
        _option(document, name, item)
    return Network(build=build, family=family, options=options, head=head)


def _text(document: Document, value: dict[str, Any], name: str) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        origin = document.origin(("network", name))
        raise WrongType(f"network.{name}", "a text", text, origin, "put it in quotes")
    return text


def _function(document: Document, build: str, options: dict[str, Any]) -> None:
    if len(build) > _LONGEST or not FUNCTION.fullmatch(build):
        origin = document.origin(("network", "build"))
        todo = "write nets:build, or a family: {family: mlp}"
        raise ImpossibleValue("network.build", "module:function", build, origin, todo)
    for name in options:
        raise UnknownKey(f"network.{name}", document.origin(("network", name)), ["build", "head"])


def _option(document: Document, name: str, item: Any) -> None:
    whole = isinstance(item, list) and all(type(part) is int for part in item)
    if not whole and not isinstance(item, float | int | str):
        origin = document.origin(("network", name))
        wanted = "a number, a text, true, false or a list of whole numbers"
        raise WrongType(f"network.{name}", wanted, item, origin, "options stand beside family")
