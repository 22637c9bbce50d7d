"""Settings from outside the file: the command line and the environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from instar.core.errors import PolicyError
from instar.core.policy import Policy
from instar.core.secret import veiled
from instar.policy.document import Document, parse

PREFIX = "INSTAR_"
SECTIONS = {field.name for field in dataclasses.fields(Policy)} - {"data"}


class BadOverride(PolicyError):
    """Refuse a setting on the command line that is not `key=value`, each key once."""

    code = "policy.bad_override"

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(
            "settings as key=value, each key once",
            f"{veiled(text)[:80]!r}, {problem}",
            "write it like policy.validate.flips.max=0.1",
        )


def split_overrides(settings: Iterable[str]) -> dict[str, str]:
    """Split the settings of a command line into keys and values.

    Example:
        >>> split_overrides(["policy.validate.flips.max=0.1", "data.ignore=[a, b]"])
        {'policy.validate.flips.max': '0.1', 'data.ignore': '[a, b]'}
    """
    found: dict[str, str] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise BadOverride(text, "which has no key")
        if key.strip() in found:
            raise BadOverride(text, "the second of its key")
        found[key.strip()] = value
    return found


def apply(document: Document, overrides: Mapping[str, str], env: Mapping[str, str]) -> None:
    """Put settings over those of the file: first the environment's, then the command line's.

    A variable `INSTAR_POLICY__VALIDATE__FLIPS__MAX` is the setting `policy.validate.flips.max`:
    two underscores part the names. Variables without two underscores are no settings.
    """
    for name in sorted(env):
        if name.startswith(PREFIX) and "__" in name:
            keys = tuple(name.removeprefix(PREFIX).lower().split("__"))
            document.put(keys, _value(env[name], f"the variable {name}"), "environment")
    for key, text in overrides.items():
        keys = tuple(key.split("."))
        if keys[0] in SECTIONS:  # `admit.missing`, as findings name it
            keys = ("policy", *keys)
        document.put(keys, _value(text, f"--set {key}"), "--set")


def _value(text: str, where: str) -> object:
    return parse(text, where)[0]
