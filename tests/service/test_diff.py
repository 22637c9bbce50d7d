"""What changed between versions, on weights that are real and a line that is made up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from instar.core.codec import encode
from instar.core.data import NumberColumn
from instar.core.digest import canonical
from instar.core.errors import UnknownName
from instar.core.fingerprint import fingerprint
from instar.core.policy import AdmitPolicy, Policy
from instar.core.records import Environment
from instar.ledger.artifacts import DirectoryArtifacts, MissingArtifact
from instar.ledger.journal import SqliteJournal
from instar.models import weights
from instar.service import record
from instar.service.diff import diff
from tests.service import line

BEFORE = {
    "body.w": torch.ones(2),
    "head.w": torch.ones(2),
    "gone": torch.ones(1),
    "turned": torch.ones(2),
}
AFTER = {
    "body.w": torch.tensor([1.0, 3.0]),
    "head.w": torch.ones(2),
    "new": torch.ones(1),
    "turned": torch.ones(3),
}
THERE = Environment(
    "0.1.0", "sha256:a", "CPython 3.11", "Linux", "x86", 2, 1, libraries={"torch": "2.13.0"}
)


class Line:
    """OLD and its child NEW, with artifacts; `measured` says which weights were compared."""

    def __init__(self, folder: Path) -> None:
        self.store = DirectoryArtifacts(folder / "artifacts")
        self.journal = SqliteJournal(folder / "ledger.db")
        self.measured: list[tuple[str, str]] = []
        old, new = (self.store.put(save(state)) for state in (BEFORE, AFTER))
        policies = [self.store.put(canonical(encode(p))) for p in (Policy(), _stricter())]
        line.crown(self.journal, replace(line.model(line.ZERO), weights=old), "adoption")
        self._update("u0001", line.OLD, line.ZERO, old, policies[0], THERE)
        there = replace(THERE, libraries={"torch": "2.14.0"})
        self._update("u0002", line.NEW, line.OLD, new, policies[1], there)

    def _update(
        self, update: str, name: str, parent: str, digest: str, policy: str, where: Environment
    ) -> None:
        request = replace(line.REQUEST, update=update, policy=policy, seed=int(update[1:]))
        after = weights.read(self.store.read(digest))
        training = replace(
            line.TRAINING,
            weights=digest,
            after=fingerprint(self.store.read(digest)),
            changes=weights.compare(BEFORE, after),
            environment=where,
        )
        for kind, made in (("request", request), ("training", training)):
            self.journal.append(kind, encode(made), update=update, model="demand", actor="worker")
        how = replace(line.HOW, numbers=(*line.HOW.numbers, NumberColumn("y", 0.0, 1.0, 0.0)))
        version = replace(
            line.model(name, parent=parent),
            weights=digest,
            update=update,
            train=(line.snapshot("train"), line.snapshot(update)),
            preprocessing=how if name == line.NEW else line.HOW,
            metrics={"auroc": 0.7 if name == line.OLD else 0.8},
        )
        line.crown(self.journal, version)

    def diff(self, one: str, other: str, layer: str | None = None) -> dict[str, Any]:
        def measure(before: str, after: str) -> list[dict[str, Any]]:
            self.measured.append((before, after))
            found = [weights.read(self.store.read(digest)) for digest in (before, after)]
            return [dict(encode(change)) for change in weights.compare(*found)]

        words = (one, other)
        return diff(self.journal, self.store, "demand", words, layer=layer, measure=measure)


def _stricter() -> Policy:
    return Policy(admit=AdmitPolicy(missing=0.01))


@pytest.fixture
def versions(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.journal.close()


def test_child_is_told_from_its_parent_by_what_its_training_recorded(versions: Line) -> None:
    found = versions.diff("champion~1", "champion")
    assert versions.measured == []
    assert found["parent"]
    assert [row["name"] for row in found["layers"]] == ["body.w", "head.w"]
    assert found["layers"][0]["l2"] == 2.0
    assert found["untouched"] == ["head.w"]
    assert (found["added"], found["removed"]) == (["new"], ["gone"])
    assert found["reshaped"] == [{"name": "turned", "from": [2], "to": [3]}]


def test_versions_that_are_no_parent_and_child_are_measured(versions: Line) -> None:
    found = versions.diff("champion", "champion~2")
    assert len(versions.measured) == 1
    assert not found["parent"]
    assert found["layers"][0]["relative"] == pytest.approx(2 / 10**0.5)
    assert (found["added"], found["removed"]) == (["gone"], ["new"])
    assert found["policy"] is None  # the one that was taken over had none


def test_equal_weights_are_not_measured(versions: Line) -> None:
    found = versions.diff("champion~2", "champion~2")
    assert (found["layers"], versions.measured) == ([], [])
    assert len(found["untouched"]) == len(BEFORE)


def test_all_else_that_changed_is_named(versions: Line) -> None:
    found = versions.diff("champion~1", "champion")
    assert found["policy"] == [{"what": "admit.missing", "from": 0.05, "to": 0.01}]
    assert found["code"] == [{"what": "libraries.torch", "from": "2.13.0", "to": "2.14.0"}]
    assert found["metrics"] == [{"name": "auroc", "from": 0.7, "to": 0.8}]
    assert found["features"] == {"added": ["y"], "removed": []}
    assert [row["what"] for row in found["preprocessing"]] == ["y"]
    assert found["data"]["rows"] == {"from": 600, "to": 600}
    assert [part["source"] for part in found["data"]["added"]] == ["u0002"]
    assert [part["source"] for part in found["data"]["removed"]] == ["u0001"]
    assert {"what": "seed", "from": 1, "to": 2} in found["training"]


def test_layer_chooses_tensors_of_that_name_and_below(versions: Line) -> None:
    found = versions.diff("champion~1", "champion", layer="body")
    assert [row["name"] for row in found["layers"]] == ["body.w"]
    assert (found["untouched"], found["added"], found["reshaped"]) == ([], [], [])
    with pytest.raises(UnknownName, match="did you mean 'body"):
        versions.diff("champion~1", "champion", layer="bodi.w")


def test_unknown_version_and_lost_weights_are_said(versions: Line, tmp_path: Path) -> None:
    with pytest.raises(record.NothingNamed):
        versions.diff("champion", "champion~7")
    for place in (tmp_path / "artifacts").rglob("*"):
        if place.is_file():
            place.unlink()
    with pytest.raises(MissingArtifact):
        versions.diff("champion", "champion~2")
