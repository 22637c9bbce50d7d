"""A workspace whose journal is in PostgreSQL: the doors, the worker and the gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

import instar
from instar.core.update import State
from tests import demand
from tests.servers.postgres import PostgresServer

YAML = """\
model: demand
task: {kind: binary, target: up}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 5, batch: 64}
  validate: {attack: {rows: 20, steps: 2}, flips: {max: 1, old_max: 1}, suspicious_gain: 0.9}
"""


@pytest.fixture(scope="module")
def address(postgres: PostgresServer) -> str:
    """A schema of a user whose password stands in the address."""
    schema = postgres.schema()
    postgres.sql("CREATE ROLE clerk LOGIN PASSWORD 'hunter2'")
    postgres.sql(f"GRANT ALL ON SCHEMA {schema} TO clerk")
    return postgres.address(schema).replace("postgres@", "clerk:hunter2@")


@pytest.fixture(scope="module")
def folder(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("postgres") / "demand"
    folder.mkdir()
    yaml = f"{YAML}store: {{journal: '{address}'}}\n"
    sizes = {"train": 300, "holdout": 150, "fresh": 400}
    return demand.adopted(folder, yaml, sizes, columns=("x", "shop", "up"))


def test_update_goes_from_adoption_to_its_votes(folder: Path) -> None:
    space = instar.open(folder, by="alice")
    done = space.update("fresh.parquet", reason="weekly", seed=3)
    assert (done.update, done.state) == ("u0001", State.WAITING)
    bob = instar.open(folder, by="bob")
    bob.reject("u0001", reason="a drill")
    assert bob.status()["updates"][0]["update"] == "u0001"
    assert bob.audit()["problems"] == []
    kinds = [entry.kind for entry in bob.history()]
    assert kinds[0] == "adoption"
    assert kinds.count("vote") == 1
    assert not (folder / ".instar" / "ledger.db").exists()


def test_gateway_serves_the_champion(folder: Path) -> None:
    space = instar.open(folder, by="alice")
    with space.serve() as gateway:
        assert gateway is not None
    assert space.status()["champion"] == space.champion().name


def test_password_stands_in_the_policy_file_alone(folder: Path) -> None:
    space = instar.open(folder)
    assert "hunter2" not in repr(space.policy())
    assert "hunter2" not in repr([*space.history(), space.project, space.status()])
    holders = [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and b"hunter2" in path.read_bytes()
    ]
    assert holders == ["instar.yaml"]
