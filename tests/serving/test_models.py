"""Whose bundles the gateway loads, and what goes on when it refuses one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from instar.bundle import trust
from instar.core.errors import BackendError
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.keys import BundleSigner
from instar.serving import routefile
from instar.serving.models import Models
from instar.testing.bundles import tiny_bundle
from instar.testing.tools import FakeSigner

OLD, NEW, WILD = "model_v20260101_0000", "model_v20260102_0000", "model_v20260103_0000"


class House:
    """A workspace with three sealed bundles, and its gateway's models."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, DirectoryArtifacts(root / "artifacts")
        self.manifests = {
            name: tiny_bundle(self.store, name, bias=bias)
            for name, bias in ((OLD, 0.0), (NEW, 1.0), (WILD, 2.0))
        }
        self.signer = BundleSigner(root)
        self.signatures: dict[str, str] = {}
        self.models = self.gateway()

    def gateway(self) -> Models:
        return Models(self.root, "m", self.store)

    def sign(self, *names: str) -> None:
        for name in names:
            self.signatures[name] = trust.sign(self.store, self.manifests[name], self.signer)

    def move(self, shares: Mapping[str, float], champion: str, *warm: str) -> None:
        before = routefile.read(self.root)
        generation = before.generation + 1 if before else 1
        route = Route("m", generation, shares, self.manifests, champion, warm=warm)
        routefile.write(self.root, replace(route, signatures=self.signatures))
        self.models.converge()

    @property
    def serves(self) -> str:
        assert self.models.shelf is not None
        return self.models.shelf.route.champion

    @property
    def refusal(self) -> str:
        return self.models.refusal.reason if self.models.refusal else ""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_workspace_from_before_signing_serves_as_before(house: House) -> None:
    house.move({OLD: 1.0}, OLD)
    assert (house.serves, house.refusal) == (OLD, "")


def test_signed_champion_is_loaded(house: House) -> None:
    house.sign(OLD)
    house.move({OLD: 1.0}, OLD)
    assert (house.serves, house.refusal) == (OLD, "")


def test_unsigned_candidate_is_refused_and_the_champion_goes_on(house: House) -> None:
    house.sign(OLD)
    house.move({OLD: 1.0}, OLD)
    house.move({OLD: 0.5, NEW: 0.5}, OLD)
    assert house.serves == OLD
    assert house.models.shelf is not None
    assert dict(house.models.shelf.route.shares) == {OLD: 1.0}
    assert f"a signature of {NEW}" in house.refusal
    assert str(house.root) not in house.refusal


def test_candidate_signed_by_somebody_else_is_refused(house: House) -> None:
    house.sign(OLD)
    house.move({OLD: 1.0}, OLD)
    other = FakeSigner(3)
    house.signatures[NEW] = trust.sign(house.store, house.manifests[NEW], other)
    house.move({NEW: 1.0}, NEW)
    assert (house.serves, "trusted key" in house.refusal) == (OLD, True)
    (house.root / "keys" / "trusted").mkdir()
    (house.root / "keys" / "trusted" / "other.pub").write_bytes(other.public)
    house.models.converge()
    assert (house.serves, house.refusal) == (NEW, "")


def test_signature_of_another_version_is_refused(house: House) -> None:
    house.sign(OLD)
    house.move({OLD: 1.0}, OLD)
    house.signatures[NEW] = house.signatures[OLD]
    house.move({NEW: 1.0}, NEW)
    assert (house.serves, "were signed" in house.refusal) == (OLD, True)


def test_way_back_to_a_signed_version_stays_open_after_a_refusal(house: House) -> None:
    house.sign(OLD, NEW)
    house.move({NEW: 1.0}, NEW)
    house.move({WILD: 1.0}, WILD)
    assert (house.serves, house.refusal != "") == (NEW, True)
    house.move({OLD: 1.0}, OLD)
    assert (house.serves, house.refusal) == (OLD, "")


def test_unsigned_warm_version_is_cold_and_stops_nobody(house: House) -> None:
    house.sign(OLD)
    house.move({OLD: 1.0}, OLD, NEW)
    assert (house.serves, house.refusal) == (OLD, "")
    assert house.models.shelf is not None
    assert list(house.models.shelf.cold) == [NEW]


def test_champion_in_service_goes_on_when_a_key_appears(house: House) -> None:
    house.move({OLD: 1.0}, OLD)
    house.signer.sign(b"a key is made")
    house.move({OLD: 0.5, NEW: 0.5}, OLD)
    assert (house.serves, f"a signature of {NEW}" in house.refusal) == (OLD, True)


def test_restart_refuses_an_unsigned_champion_where_there_is_a_key(house: House) -> None:
    house.move({OLD: 1.0}, OLD)
    house.signer.sign(b"a key is made")
    house.models = house.gateway()
    house.models.start()
    assert house.models.shelf is None
    assert f"a signature of {OLD}" in house.refusal


def test_signature_counts_for_nothing_when_the_keys_are_gone(house: House) -> None:
    house.sign(OLD)
    house.move({OLD: 1.0}, OLD)
    (house.root / "keys" / "bundle.pub").unlink()
    house.models = house.gateway()
    house.models.start()
    assert house.models.shelf is None


def test_key_that_is_none_is_told_and_nothing_new_is_loaded(house: House) -> None:
    house.sign(OLD, NEW)
    house.move({OLD: 1.0}, OLD)
    (house.root / "keys" / "trusted").mkdir()
    (house.root / "keys" / "trusted" / "x.pub").write_bytes(b"no key")
    house.move({NEW: 1.0}, NEW)
    assert (house.serves, "a public key" in house.refusal) == (OLD, True)


@pytest.mark.parametrize("kind", ["a library", "ours"])
def test_refusal_never_names_a_place(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    house.move({OLD: 1.0}, OLD)
    place = house.root / "canary" / "model.onnx"

    def fails(*_: object, **__: object) -> None:
        if kind == "ours":
            raise BackendError("a graph", f"cannot open '{place}'", "mend it")
        raise RuntimeError(f"Load model from {place} failed")

    monkeypatch.setattr("instar.bundle.session.start", fails)
    house.move({OLD: 0.5, NEW: 0.5}, OLD, WILD)
    assert house.refusal
    assert "canary" not in house.refusal
    house.move({OLD: 1.0}, OLD, WILD)
    assert house.models.shelf is not None
    assert "canary" not in str(house.models.shelf.cold)
