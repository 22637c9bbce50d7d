"""An update that is run again comes to the same, and says where it does not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import instar
from instar.core.digest import digest_json
from instar.ledger.journal import SqliteJournal
from tests import demand

YAML = """\
model: demand
task: {kind: binary, target: up}
network: nets:build
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 5, patience: 5, batch: 16, checkpoint_s: 0}
  validate: {attack: {rows: 20, steps: 2}, flips: {max: 1, old_max: 1}, suspicious_gain: 0.9}
  run: {owners: {train: dora}}
"""
NETS = """\
from instar.models.families.mlp import MLP as mlp

def build(inputs):
    return mlp(inputs, hidden=[8])
"""


def command(folder: Path, *words: str) -> tuple[int, Any, str]:
    """Run a command with --json in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "instar", *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.fixture(scope="module")
def updated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out a workspace whose first update waits for people."""
    folder = tmp_path_factory.mktemp("retrace") / "demand"
    folder.mkdir()
    (folder / "nets.py").write_text(NETS)
    sizes = {"train": 300, "holdout": 150, "fresh": 400}
    demand.adopted(folder, YAML, sizes, columns=("x", "shop", "up"))
    instar.open(folder, by="alice").update("fresh.parquet", reason="weekly", seed=3)
    return folder
