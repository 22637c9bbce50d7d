"""F11 end to end: a worker whose disk is full. Nothing half done stays, and the way back is open.

RLIMIT_FSIZE stands for the full disk: beyond it the system takes no byte (EFBIG), in any folder,
and no rights are needed to set it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import instar
from instar.core.codec import decode, encode
from instar.core.records import ModelVersion
from instar.ledger import ready
from instar.ledger.files import NEW
from instar.ledger.journal import SqliteJournal
from instar.serving.client import GatewayTraffic
from tests import demand
from tests.faults.warm import LIMIT as LIMIT_OF

YAML = """\
model: demand
task: {kind: binary, target: up}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 2, batch: 64, checkpoint_s: 0}
  validate: {attack: {rows: 20, steps: 2}, flips: {max: 1, old_max: 1}, suspicious_gain: 0.9}
"""
LIMIT = 420_000  # bytes of one file: the ledger fits, a checkpoint of the wide network does not


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line with two champions, so that there is a way back."""
    folder = tmp_path_factory.mktemp("full") / "demand"
    folder.mkdir()
    sizes = {"train": 300, "holdout": 150, "fresh": 400}
    demand.adopted(folder, YAML, sizes, columns=("x", "shop", "up"))
    journal = SqliteJournal(folder / ".instar" / "ledger.db")
    first = journal.champion("demand")
    assert first is not None
    old = decode(ModelVersion, first.body)
    new = replace(old, name="model_v20260102_0000", parent=old.name)
    journal.promote(
        "demand", expect=first.seq, body=encode(new), actor="ana", epoch=None, kind="promotion"
    )
    journal.close()
    traffic = GatewayTraffic(folder / ".instar", "demand")
    traffic.put(traffic.route().home(new.name, new.bundle.manifest))
    (folder / "instar.yaml").write_text(YAML.replace("[8]", "[256, 256]"))
    return folder


@pytest.fixture
def folder(adopted: Path, tmp_path: Path) -> Path:
    return shutil.copytree(adopted, tmp_path / "demand")


def says(folder: Path, *words: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instar", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, LIMIT_OF: str(limit or 0)},
    )


def halves(folder: Path) -> list[Path]:
    return list((folder / ".instar").rglob(f"{NEW}*"))


def test_update_on_a_full_disk_fails_cleanly_and_the_way_back_stays_open(folder: Path) -> None:
    done = says(
        folder, "update", "fresh.parquet", "--reason", "weekly", "--by", "al", "--json", limit=LIMIT
    )
    assert done.returncode == 5, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert str(folder) not in done.stderr
    assert halves(folder) == []
    space = instar.open(folder, by="bob")
    assert space.champion().name == "model_v20260102_0000"
    assert space.audit()["problems"] == []
    back = says(folder, "rollback", "--reason", "no room", "--json", limit=LIMIT)
    assert back.returncode == 0, back.stderr
    assert json.loads(back.stdout)["champion"] == space.journal.entries()[0].body["name"]
    assert space.audit()["problems"] == []
    assert halves(folder) == []


@pytest.mark.thorough
def test_update_goes_on_when_there_is_room_again(folder: Path) -> None:
    words = ("update", "fresh.parquet", "--reason", "weekly", "--by", "al", "--json")
    assert says(folder, *words, limit=LIMIT).returncode == 5
    state = instar.open(folder).state("u0001").state
    if state.open:
        done = says(folder, "resume", "u0001", "--json")
        assert done.returncode in (1, 3), done.stderr
        assert json.loads(done.stdout)["update"] == "u0001"
    else:  # told in the ledger, with the reason
        assert "File too large" in instar.open(folder).outcome("u0001").message
        assert says(folder, *words).returncode in (1, 3)


def test_update_is_refused_before_it_begins_where_it_would_not_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instar import worker

    assert worker._bytes(str(folder / "fresh.parquet")) == (folder / "fresh.parquet").stat().st_size
    assert worker._bytes(str(folder / "*.parquet")) > worker._bytes(str(folder / "fresh.parquet"))
    assert worker._bytes(str(folder / "nothing")) == 0
    before = instar.open(folder).history()
    # A file with a hole: as large as it says, for whoever counts on it.
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(1 << 42)
    done = says(folder, "update", "huge.csv", "--reason", "weekly", "--json")
    assert done.returncode == 5, done.stderr
    assert "make room" in done.stderr
    assert instar.open(folder).history() == before
    assert ready.estimate(1 << 42, 0) > 1 << 42
