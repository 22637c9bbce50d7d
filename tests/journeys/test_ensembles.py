"""An ensemble through the whole pipeline on real rows, and the update after it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_breast_cancer

import instar
from instar.core.data import InputSpec, TaskKind
from instar.core.records import Ensemble, Network
from instar.models.build import build

YAML = """\
model: tumours
task: {kind: binary, target: benign}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50, drift_effect: 9, duplicates: 1}
  plan: {strategy: full}
  train: {full_epochs: 3, checkpoint_s: 0, ensemble: {kind: KIND, members: 3}}
  validate:
    attack: {rows: 20, steps: 2}
    flips: {max: 1, old_max: 1}
    slices: {min_rows: 1000}
    metrics: {accuracy: {min: 0.5, margin: 0.9}}
    suspicious_gain: 0.9
    suspicious_column: 0.9
    old_margin: 0.9
    latency_ms: 10000
  approve: {people: 0}
  release: {strategy: all_at_once, tick_s: 0.05}
"""
PARTS = {
    "train": slice(0, 220),
    "holdout": slice(220, 300),
    "one": slice(300, 430),
    "two": slice(430, 569),
}


def lay_out(folder: Path, kind: str, network: str = "{family: mlp, hidden: [8]}") -> Path:
    text = YAML.replace("KIND", kind).replace("{family: mlp, hidden: [8]}", network)
    (folder / "instar.yaml").write_text(text)
    data = load_breast_cancer()
    table = pl.DataFrame({f"n{i}": data.data[:, i] for i in (0, 1, 4, 7)})
    table = table.with_columns(benign=pl.Series(data.target) == 1)
    for name, rows in PARTS.items():
        table[rows].write_parquet(folder / f"{name}.parquet")
    torch.manual_seed(0)
    family = Network(family="mlp", options={"hidden": [8]})
    net = build(family, InputSpec(numbers=4, outputs=1), folder)
    save_file(net.state_dict(), folder / "champion.safetensors")
    instar.open(folder, by="alice").adopt(
        "champion.safetensors", train="train.parquet", holdout="holdout.parquet"
    )
    return folder


def says(folder: Path, *words: str, status: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "instar", *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, (words, done.stdout, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ensemble_is_released_and_the_next_update_goes_on_with_it(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "stacking")
    space = instar.open(folder, by="olga")
    with space.serve() as gateway:
        says(folder, "update", "one.parquet", "--reason", "weekly", "--by", "alice", status=3)
        assert says(folder, "release", "u0001", "--by", "olga")["state"] == "promoted"
        champion = space.champion()
        assert champion.network.ensemble == Ensemble("linear", 3, TaskKind.BINARY)
        assert champion.network.alone() == Network(family="mlp", options={"hidden": [8]})
        row = pl.read_parquet(folder / "two.parquet").row(0, named=True)
        inputs = [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [row[name]]}
            for name in ("n0", "n1", "n4", "n7")
        ]
        url = f"{gateway.url}/v2/models/tumours/infer"
        answer = httpx.post(url, json={"inputs": inputs}, timeout=30).raise_for_status().json()
        assert answer["model_version"] == champion.name
        assert np.isfinite(answer["outputs"][0]["data"]).all()

        later = ("--set", "policy.plan.strategy=warm")
        says(
            folder, "update", "two.parquet", "--reason", "weekly", "--by", "alice", *later, status=3
        )
        assert says(folder, "release", "u0002", "--by", "olga")["state"] == "promoted"
        assert space.champion().network == champion.network
        assert space.champion().weights != champion.weights
    assert says(folder, "reproduce", "u0001", "--by", "bob")["equal"]
    assert says(folder, "audit", "verify")["problems"] == []


@pytest.mark.parametrize(
    ("kind", "strategy", "needle"),
    [
        ("hard_vote", "auto", "a vote needs classes"),
        ("greedy_soup", "full", "averages no weights"),
        ("bagging", "head", "one outcome only"),
        ("baging", "auto", "did you mean 'bagging'"),
    ],
)
def test_kind_that_does_not_fit_is_one_line_before_anything_is_written(
    tmp_path: Path, kind: str, strategy: str, needle: str
) -> None:
    task = "regression" if kind == "hard_vote" else "binary"
    text = YAML.replace("KIND", kind).replace("kind: binary", f"kind: {task}")
    (tmp_path / "instar.yaml").write_text(text.replace("strategy: full", f"strategy: {strategy}"))
    done = subprocess.run(
        [sys.executable, "-m", "instar", "update", "one.parquet", "--reason", "weekly"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert needle in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["instar.yaml"]
