"""YAML as settings are written in: plain mappings, lists and values, each with its line.

The values are those of YAML 1.2: `true` and `false` are the only booleans, so that `no` and
`on` are texts; `1e-4` is a number; dates are texts. Anchors, tags and duplicate keys are
refused: what stands in the file is what is meant.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import yaml

from instar.core.errors import PolicyError
from instar.core.secret import veiled

Keys = tuple[str, ...]  # the names that lead to a setting; list items by number
_DEEPEST = 12
_LARGEST = 1 << 20  # bytes


class NoPolicy(PolicyError):
    """Report a policy file that cannot be read."""

    code = "policy.no_file"

    def __init__(self, name: str, problem: str, todo: str) -> None:
        super().__init__(f"the policy file {name}", problem, todo)


class NotYaml(PolicyError):
    """Refuse text that is not YAML, or uses what a policy has no need of."""

    code = "policy.not_yaml"

    def __init__(self, where: str, problem: str, todo: str = "mend the line") -> None:
        super().__init__(f"plain YAML in {where}", problem, todo)


class DuplicateKey(PolicyError):
    """Refuse a key that stands there twice: one of the two would be lost."""

    code = "policy.duplicate_key"

    def __init__(self, where: str, key: str, line: int, first: int) -> None:
        super().__init__(
            f"each key once in {where}",
            f"{key!r} in line {line}, and before in line {first}",
            "take one of them out",
        )


class InTheWay(PolicyError):
    """Refuse a setting below something that is no section."""

    code = "policy.in_the_way"

    def __init__(self, key: str, section: str, value: Any) -> None:
        super().__init__(
            f"a section {section} to put {key} in",
            veiled(repr(value)),
            f"write {section} as key: value",
        )


class Document:
    """The tree of settings, and where each of them was written.

    `origins` maps the keys of a setting to `file line N`, `--set` or `environment`.
    """

    def __init__(self, tree: dict[str, Any], origins: dict[Keys, str]) -> None:
        self.tree = tree
        self.origins = origins

    def origin(self, keys: Keys) -> str:
        """Name the origin of a setting: its own, that of its section, or that of its first part."""
        here: Any = self.tree
        for name in keys:
            if not isinstance(here, dict):
                break
            if name not in here:
                return "default"
            here = here[name]
        above = (self.origins.get(keys[:end]) for end in range(len(keys), 0, -1))
        below = (self.origins[known] for known in self.origins if known[: len(keys)] == keys)
        return next(filter(None, above), None) or next(below, "default")

    def put(self, keys: Keys, value: Any, origin: str) -> None:
        """Write a value over what stands at its keys."""
        here = self.tree
        for depth, name in enumerate(keys[:-1], 1):
            below = here.get(name)
            if below is not None and not isinstance(below, dict):
                raise InTheWay(".".join(keys), ".".join(keys[:depth]), below)
            here[name] = here = {} if below is None else below
        here[keys[-1]] = value
        for known in [known for known in self.origins if known[: len(keys)] == keys]:
            del self.origins[known]
        self.origins[keys] = origin


class _Loader(yaml.SafeLoader):
    """Compose nodes without anchors, aliases and tags, and not too deep."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the way PyYAML is extended
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call] # PyYAML's stubs lack it
        self.depth += 1
        for wrong, problem in (
            (isinstance(event, yaml.AliasEvent), "an alias"),
            (getattr(event, "anchor", None), "an anchor"),
            (getattr(event, "tag", None), "a tag"),
            (self.depth > _DEEPEST, f"more than {_DEEPEST} levels"),
        ):
            if wrong:
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_SCALARS: dict[str, tuple[str, list[str], Callable[[str], Any]]] = {
    "null": (r"~|null|", ["~", "n", ""], lambda _: None),
    "bool": (r"true|false", ["t", "f"], lambda text: text == "true"),
    "int": (r"[-+]?[0-9]{1,18}", list("-+0123456789"), int),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
        float,
    ),
}
for _name, (_pattern, _first, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(_name, re.compile(rf"(?:{_pattern})\Z"), _first)


def parse(text: str, where: str) -> tuple[Any, dict[Keys, int]]:
    """Read one YAML document into plain values, and the line of each by its keys.

    Raises:
        NotYaml: the text is not YAML, or more than a policy may use.
        DuplicateKey: a mapping holds a key twice.
    Example:
        >>> parse("flips: {max: 1e-2}", "the example")
        ({'flips': {'max': 0.01}}, {(): 1, ('flips',): 1, ('flips', 'max'): 1})
    """
    lines: dict[Keys, int] = {}
    try:
        node = yaml.compose(text, _Loader)
        return (None if node is None else _value(node, (), lines, where)), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}" if mark else "the text"
        problem = f"{error.context or ''} {error.problem} in {place}"
        raise NotYaml(where, problem) from error
    except yaml.YAMLError as error:
        raise NotYaml(where, "a character that YAML does not allow") from error


def _value(node: yaml.Node, keys: Keys, lines: dict[Keys, int], where: str) -> Any:
    lines[keys] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, keys, lines, where)
    if isinstance(node, yaml.SequenceNode):
        return [_value(n, (*keys, str(i)), lines, where) for i, n in enumerate(node.value)]
    read = _SCALARS.get(node.tag)
    return str(node.value) if read is None else read[2](node.value)


def _mapping(
    node: yaml.MappingNode, keys: Keys, lines: dict[Keys, int], where: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    first: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise NotYaml(where, f"a list or mapping as a key in line {line}")
        if key.value in found:
            raise DuplicateKey(where, key.value, line, first[key.value])
        found[key.value] = _value(value, (*keys, key.value), lines, where)
        # A setting stands where its name stands; its value may begin on the next line.
        first[key.value] = lines[(*keys, key.value)] = line
    return found


def load(file: pathlib.Path) -> Document:
    """Read a policy file.

    Raises:
        NoPolicy: it is missing, empty, too large, or not UTF-8.
        NotYaml: it is not plain YAML.
        DuplicateKey: a mapping holds a key twice.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise NoPolicy(file.name, "nothing", "write one: instar init") from error
    except OSError as error:
        raise NoPolicy(
            file.name, error.strerror or "an error", "mend its name or rights"
        ) from error
    if len(data) > _LARGEST:
        raise NoPolicy(file.name, f"{len(data)} bytes", f"keep it under {_LARGEST}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"bytes that are not UTF-8, from byte {error.start}"
        raise NoPolicy(file.name, problem, "save it as UTF-8") from error
    tree, lines = parse(text, file.name)
    if tree is None:
        raise NoPolicy(file.name, "an empty file", "name at least model, task and network")
    if not isinstance(tree, dict):
        raise NotYaml(file.name, "no mapping at the top", "write `key: value` lines")
    return Document(tree, {keys: f"file line {line}" for keys, line in lines.items() if keys})
