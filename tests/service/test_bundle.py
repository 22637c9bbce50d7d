"""Bundles as folders, and the signing of what serves, on a workspace with real bundles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.bundle.errors import BadSignature, SignatureMismatch, UnsignedBundle
from instar.core.errors import InputError, TakenFolder
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.journal import SqliteJournal
from instar.ledger.keys import BundleSigner, bundle_signer
from instar.service import Workspace, bundle
from instar.service.errors import NotNow
from instar.serving.client import GatewayTraffic
from instar.serving.models import Models
from instar.testing.bundles import tiny_bundle
from tests.service import line


class House:
    """Two champions from before signing, whose bundles are real, and their route."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root, root / ".instar"
        (root / "instar.yaml").write_text(line.YAML)
        self.store = DirectoryArtifacts(self.home / "artifacts")
        self.journal = SqliteJournal(self.home / "ledger.db")
        self.manifests = {
            line.ZERO: tiny_bundle(self.store, line.ZERO),
            line.OLD: tiny_bundle(self.store, line.OLD, bias=1.0),
        }
        line.crown(self.journal, self.model(line.ZERO), "adoption")
        line.crown(self.journal, self.model(line.OLD, parent=line.ZERO))
        self.traffic = GatewayTraffic(self.home, "demand")
        self.traffic.put(
            Route("demand", 1, {line.OLD: 1.0}, self.manifests, line.OLD, warm=(line.ZERO,))
        )

    def model(self, name: str, **more: Any) -> Any:
        made = line.model(name, **more)
        return replace(made, bundle=replace(made.bundle, manifest=self.manifests[name]))

    @property
    def space(self) -> Workspace:
        return Workspace(self.root, by="ana")

    def gateway(self) -> Models:
        models = Models(self.home, "demand", self.store)
        models.start()
        return models


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.journal.close()


def test_signing_signs_what_serves_and_the_way_back(house: House) -> None:
    done = house.space.sign()
    assert set(done["signed"]) == {line.ZERO, line.OLD}
    assert dict(house.traffic.route().signatures) == done["signed"]
    assert house.space.champion().bundle.signature == done["signed"][line.OLD]
    entries = house.journal.entries(kind="signature")
    assert {e.body["version"]: e.body["signature"] for e in entries} == done["signed"]
    assert {e.actor for e in entries} == {house.journal.person("ana")}
    models = house.gateway()
    assert models.refusal is None
    assert models.shelf is not None
    assert (models.shelf.route.champion, dict(models.shelf.cold)) == (line.OLD, {})


def test_signing_twice_changes_nothing(house: House) -> None:
    first = house.space.sign()
    entries, route = house.journal.entries(), house.traffic.route()
    assert house.space.sign() == first
    assert (house.journal.entries(), house.traffic.route()) == (entries, route)


def test_rollback_takes_the_signature_along(house: House) -> None:
    signed = house.space.sign()["signed"]
    house.space.rollback(reason="complaints")
    route = house.traffic.route()
    assert (route.champion, route.signatures[line.ZERO]) == (line.ZERO, signed[line.ZERO])


def test_new_key_signs_anew_and_the_old_one_may_go(house: House) -> None:
    first = house.space.sign()["signed"]
    keys = house.home / "keys"
    (keys / "trusted").mkdir()
    (keys / "bundle.pub").rename(keys / "trusted" / "2026.pub")
    (keys / "bundle.pem").rename(house.root / "old.pem")
    assert bundle_signer(house.home) is not None
    with pytest.raises(Exception, match=r"keys/bundle\.pem"):  # the old one is trusted still
        house.space.sign()
    (keys / "trusted" / "2026.pub").rename(house.root / "2026.pub")
    second = house.space.sign()["signed"]
    assert set(first.values()).isdisjoint(second.values())
    (keys / "trusted" / "2026.pub").unlink(missing_ok=True)
    assert house.gateway().refusal is None


def test_open_update_is_finished_first(house: House) -> None:
    line.file(house.journal, line.REQUEST)
    with pytest.raises(NotNow, match="u0001"):
        house.space.sign()
    assert not (house.home / "keys").exists()


def test_damaged_bundle_is_not_signed(house: House) -> None:
    name = house.manifests[line.OLD].removeprefix("sha256:")
    (file,) = (house.home / "artifacts").rglob(name)
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(Exception, match="digest"):
        house.space.sign()
    assert not house.traffic.route().signatures


def test_exported_folder_is_verified_by_its_key(house: House, tmp_path: Path) -> None:
    house.space.sign()
    place = tmp_path / "out"
    done = house.space.export_bundle(line.OLD, place)
    assert sorted(path.name for path in place.iterdir()) == sorted([*done["files"], "model.sig"])
    found = bundle.verify(place, [house.home / "keys" / "bundle.pub"])
    assert sorted(found["files"]) == done["files"]
    (place / ".git").mkdir()
    (place / ".git" / "hook").write_text("planted")
    with pytest.raises(SignatureMismatch, match="hook"):
        bundle.verify(place, [house.home / "keys" / "bundle.pub"])


def test_unsigned_version_is_not_exported(house: House, tmp_path: Path) -> None:
    with pytest.raises(UnsignedBundle, match="instar sign"):
        house.space.export_bundle(line.OLD, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_that_is_there_is_not_written_into(house: House, tmp_path: Path) -> None:
    house.space.sign()
    (tmp_path / "out").mkdir()
    with pytest.raises(TakenFolder):
        house.space.export_bundle(line.OLD, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_signature_beside_the_folder_may_be_named(house: House, tmp_path: Path) -> None:
    house.space.sign()
    house.space.export_bundle(line.OLD, tmp_path / "out")
    (tmp_path / "out" / "model.sig").rename(tmp_path / "x.sig")
    key = house.home / "keys" / "bundle.pub"
    with pytest.raises(InputError, match=r"model\.sig"):
        bundle.verify(tmp_path / "out", [key])
    assert bundle.verify(tmp_path / "out", [key], tmp_path / "x.sig")["trusted"]
    other = BundleSigner(tmp_path / "other").public
    (tmp_path / "other.pub").write_bytes(other)
    with pytest.raises(BadSignature):
        bundle.verify(tmp_path / "out", [tmp_path / "other.pub"], tmp_path / "x.sig")


def test_command_line_signs_exports_and_verifies(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from instar.cli import app

    monkeypatch.chdir(house.root)
    run = CliRunner().invoke
    assert list(json.loads(run(app, ["sign", "--json"]).stdout)["signed"]) == [line.OLD, line.ZERO]
    assert run(app, ["bundle", "export", line.OLD, "out"]).exit_code == 0
    key = ["--key", ".instar/keys/bundle.pub"]
    done = run(app, ["bundle", "verify", "out", *key])
    assert (done.exit_code, "all as they were signed" in done.stdout) == (0, True)
    (house.root / "out" / "card.md").write_text("another card")
    refused = run(app, ["bundle", "verify", "out", *key])
    assert isinstance(refused.exception, SignatureMismatch)
