"""What changed from one version to another: weights, data, features, rules, figures, code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from instar.core.codec import decode, encode
from instar.core.data import Snapshot
from instar.core.differences import differences
from instar.core.errors import UnknownName
from instar.core.fingerprint import fingerprint
from instar.core.records import Environment, Fingerprint, ModelVersion, Request, Training
from instar.service.record import named

if TYPE_CHECKING:
    from instar.core.tools import Artifacts
    from instar.ledger.journal import Entry, Journal

Measure = Callable[[str, str], list[dict[str, Any]]]
"""How far each tensor of one weights file (a digest) is from its twin in another."""


def diff(
    journal: Journal,
    artifacts: Artifacts,
    model: str,
    words: tuple[str, str],
    *,
    layer: str | None,
    measure: Measure,
) -> dict[str, Any]:
    """Say what changed from one version to another.

    The changes of a child against its parent are those that its training recorded; of any other
    pair they are measured on the weights.

    Args:
        words: Both versions: a name, `champion`, or `champion~1`.
        layer: Only tensors of this name, or below it.
        measure: How to compare two weights files; called only where nothing is recorded.
    Raises:
        NothingNamed: there is no such version.
        UnknownName: neither version has such a layer.
        IntegrityError: the weights are gone or damaged.
    """
    first, second = (_Side(journal, artifacts, named(journal, model, word)) for word in words)
    one, other = first.version, second.version
    return {
        "from": one.name,
        "to": other.name,
        "parent": other.parent == one.name,
        **_weights(first, second, layer, measure),
        "data": _data(one.train, other.train),
        "holdout": _data(one.holdout, other.holdout),
        "features": _sets(one.preprocessing.columns, other.preprocessing.columns),
        "preprocessing": _rows(_by_name(one), _by_name(other)),
        "network": _rows(encode(one.network), encode(other.network)),
        "training": _rows(first.how, second.how),
        "policy": _policies(first, second),
        "metrics": _metrics(one.metrics, other.metrics),
        "code": _code(first, second),
    }


class _Side:
    """A version with the entries that tell how it was made."""

    def __init__(self, journal: Journal, artifacts: Artifacts, made: Entry) -> None:
        self.version = decode(ModelVersion, made.body)
        self.artifacts = artifacts
        own = journal.entries(update=made.update) if made.update else []
        bodies = {entry.kind: entry for entry in own if entry.seq <= made.seq}
        asked, learnt = bodies.get("request"), bodies.get("training")
        self.request = decode(Request, asked.body) if asked else None
        self.training = decode(Training, learnt.body) if learnt else None
        self.code = ((learnt or made).work or {}).get("code")

    @property
    def prints(self) -> Fingerprint:
        recorded = self.training.after if self.training else None
        return recorded or fingerprint(self.artifacts.read(self.version.weights))

    @property
    def how(self) -> dict[str, Any]:
        """How it was trained: recipe, and, as far as they are recorded, strategy and seed."""
        known: dict[str, Any] = {"recipe": encode(self.version.recipe)}
        if self.request is not None and self.training is not None:
            known |= {"strategy": self.training.strategy, "seed": self.request.seed}
        return known

    @property
    def where(self) -> Environment | None:
        """Code, machine and libraries of the training; an adoption trained nothing."""
        return self.training.environment if self.training else None

    @property
    def policy(self) -> dict[str, Any] | None:
        if self.request is None or self.request.policy not in self.artifacts:
            return None
        return dict(json.loads(self.artifacts.read(self.request.policy)))


def _weights(first: _Side, second: _Side, layer: str | None, measure: Measure) -> dict[str, Any]:
    before, after = ({t.name: t for t in side.prints.tensors} for side in (first, second))
    if layer is not None and not any(_below(name, layer) for name in (*before, *after)):
        raise UnknownName("layer", layer, {*before, *after})
    both = [name for name in before if name in after]
    same = [name for name in both if before[name] == after[name]]
    changed = len(same) < len(before) or len(same) < len(after)
    return {
        "root": {"from": first.prints.root, "to": second.prints.root},
        "layers": sorted(
            (
                change
                for change in (_changes(first, second, measure) if changed else [])
                if layer is None or _below(change["name"], layer)
            ),
            key=lambda change: str(change["name"]),
        ),
        "untouched": _only(same, layer),
        "added": _only([name for name in after if name not in before], layer),
        "removed": _only([name for name in before if name not in after], layer),
        "reshaped": [
            {"name": n, "from": list(before[n].shape), "to": list(after[n].shape)}
            for n in _only(both, layer)
            if before[n].shape != after[n].shape
        ],
    }


def _changes(first: _Side, second: _Side, measure: Measure) -> list[dict[str, Any]]:
    if second.version.parent == first.version.name and second.training is not None:
        return [dict(encode(change)) for change in second.training.changes]
    return measure(first.version.weights, second.version.weights)


def _below(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


def _only(names: Sequence[str], layer: str | None) -> list[str]:
    return sorted(name for name in names if layer is None or _below(name, layer))


def _data(one: Sequence[Snapshot], other: Sequence[Snapshot]) -> dict[str, Any]:
    before, after = ({part.digest: part for part in parts} for parts in (one, other))
    return {
        "rows": {"from": sum(p.rows for p in one), "to": sum(p.rows for p in other)},
        "added": [_named(part) for digest, part in after.items() if digest not in before],
        "removed": [_named(part) for digest, part in before.items() if digest not in after],
    }


def _named(part: Snapshot) -> dict[str, Any]:
    return {
        "source": part.source,
        "rows": part.rows,
        "since": part.since,
        "until": part.until,
        "digest": part.digest,
    }


def _sets(one: Sequence[str], other: Sequence[str]) -> dict[str, list[str]]:
    return {
        "added": [name for name in other if name not in one],
        "removed": [name for name in one if name not in other],
    }


def _by_name(version: ModelVersion) -> dict[str, Any]:
    """Lay a preprocessing out by the names of its columns, so that an added one moves no other."""
    how = version.preprocessing
    columns = [*how.numbers, *how.categories, *((how.image,) if how.image else ())]
    return {**{column.name: encode(column) for column in columns}, "onehot": how.onehot}


def _rows(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = differences(dict(one), dict(other))
    return [{"what": place, "from": left, "to": right} for place, left, right in found]


def _code(first: _Side, second: _Side) -> list[dict[str, Any]] | None:
    """List what of code, machine and libraries differs, as far as both have it recorded."""
    if first.where is not None and second.where is not None:
        return _rows(encode(first.where), encode(second.where))
    if first.code is None or second.code is None:
        return None
    return _rows(first.code, second.code)


def _policies(first: _Side, second: _Side) -> list[dict[str, Any]] | None:
    """List the settings that differ; None where one of the policies is not recorded."""
    one, other = first.policy, second.policy
    return None if one is None or other is None else _rows(one, other)


def _metrics(one: Mapping[str, float], other: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {"name": name, "from": one.get(name), "to": other.get(name)}
        for name in dict.fromkeys([*one, *other])
    ]
