"""A project: its model, task and network, the policy in force, and where each setting is from."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from instar.core.codec import decode, encode
from instar.core.data import Task
from instar.core.digest import digest_json
from instar.core.policy import Policy, ServeSettings, StoreSettings
from instar.core.records import Network
from instar.core.secret import veiled
from instar.policy import rules, schema
from instar.policy.document import load
from instar.policy.network import network
from instar.policy.overrides import apply


@dataclass(frozen=True, slots=True)
class Project:
    """Everything that `instar.yaml` says, with the defaults filled in.

    `origin` maps dotted keys to `default`, `file line N`, `environment` or `--set`. `digest`
    names the policy (with the `data` section) by its values, however they were written down.
    """

    model: str
    task: Task
    network: Network
    policy: Policy
    store: StoreSettings
    serve: ServeSettings
    origin: Mapping[str, str]
    digest: str


class Setting(NamedTuple):
    """One line of `instar policy show`; `value` as JSON."""

    key: str
    value: Any
    origin: str
    doc: str


def read(
    path: Path,
    overrides: Mapping[str, str] | None = None,
    env: Mapping[str, str] = os.environ,
) -> Project:
    """Read a policy file. The command line wins over the environment, this over the file.

    Args:
        overrides: Dotted keys of the command line with their values as YAML text.
        env: Variables like `INSTAR_POLICY__VALIDATE__FLIPS__MAX`.
    Raises:
        PolicyError: a mistake of the policy's author, each with its own class.
    """
    written = load(path)
    apply(written, overrides or {}, env)
    schema.check(written)
    tree = written.tree
    policy = decode(Policy, {**tree.get("policy", {}), "data": tree.get("data", {})})
    store = decode(StoreSettings, tree.get("store", {}))
    serve = decode(ServeSettings, tree.get("serve", {}))
    task = decode(Task, tree["task"])
    made = Project(tree["model"], task, network(written), policy, store, serve, {}, "")
    rules.check(made.model, made.task, policy, written)
    origin = {key: written.origin(tuple(key.split("."))) for key, _, _ in _leaves(made)}
    return dataclasses.replace(made, origin=origin, digest=digest_json(encode(policy)))


def show(project: Project) -> list[Setting]:
    """List every setting in force, where it comes from and what it means; no password."""
    return [
        Setting(key, _shown(encode(value)), project.origin[key], doc)
        for key, value, doc in _leaves(project)
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return veiled(value) if isinstance(value, str) else value


def _leaves(project: Project) -> Iterator[tuple[str, Any, str]]:
    yield "model", project.model, "name of the model line"
    for field in dataclasses.fields(schema.TaskSettings):
        yield f"task.{field.name}", getattr(project.task, field.name), field.metadata["doc"]
    name = "family" if project.network.build is None else "build"
    yield f"network.{name}", getattr(project.network, name), "where the network comes from"
    if project.network.head is not None:
        yield "network.head", project.network.head, "the layer that makes the logits"
    for option, value in project.network.options.items():
        yield f"network.{option}", value, "option of the family"
    yield from _settings(project.policy.data, "data")
    yield from _settings(project.store, "store")
    yield from _settings(project.serve, "serve")
    for field in dataclasses.fields(Policy):
        if field.name != "data":
            yield from _settings(getattr(project.policy, field.name), f"policy.{field.name}")


def _settings(section: Any, key: str) -> Iterator[tuple[str, Any, str]]:
    """Go down sections, and mappings of sections; a list is one setting."""
    for field in dataclasses.fields(section):
        value, inner = getattr(section, field.name), f"{key}.{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _settings(value, inner)
        elif isinstance(value, Mapping) and any(map(dataclasses.is_dataclass, value.values())):
            for name, rule in value.items():
                yield from _settings(rule, f"{inner}.{name}")
        else:
            yield inner, value, field.metadata["doc"]
