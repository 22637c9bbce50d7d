"""Workspaces as users have them: the examples, copied, prepared, adopted. Made once a session."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import instar

EXAMPLES = Path(__file__).parents[2] / "examples"


def lay_out(name: str, folder: Path) -> Path:
    """Copy an example and run its scripts, as its README says."""
    for file in (EXAMPLES / name).iterdir():
        if file.is_file():
            shutil.copy(file, folder / file.name)
    for script in ("prepare.py", "train_champion.py"):
        done = subprocess.run(
            [sys.executable, script], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def prepared_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out("digits", tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def adopted_digits(prepared_digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adopted") / "digits"
    shutil.copytree(prepared_digits, folder)
    instar.open(folder, by="alice").adopt(
        "champion.safetensors", train="data/train.parquet", holdout="data/holdout.parquet"
    )
    return folder


@pytest.fixture
def digits(adopted_digits: Path, tmp_path: Path) -> Path:
    """Hand out a fresh copy of a workspace with a champion and no update yet."""
    shutil.copytree(adopted_digits, tmp_path / "digits")
    return tmp_path / "digits"
