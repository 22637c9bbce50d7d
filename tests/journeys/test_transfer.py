"""A changed network begins with weights learnt elsewhere; run again, it needs no file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

import instar
from instar.core.data import InputSpec
from instar.core.records import Network
from instar.models.build import build
from instar.stages.package.export import export
from tests.journeys.test_ensembles import YAML, lay_out, says

CHANGED = ("--set", "network={family: mlp, hidden: [12]}", "--set", "policy.plan.strategy=auto")


def elsewhere(folder: Path) -> None:
    torch.manual_seed(3)
    spec = InputSpec(numbers=4, outputs=1)
    net = build(Network(family="mlp", options={"hidden": [12]}), spec, folder)
    (folder / "backbone.onnx").write_bytes(export(net, spec, 20).SerializeToString())
    save_file({"conv.weight": torch.zeros(3, 3)}, folder / "other.safetensors")


def test_transfer_is_planned_trained_and_reproduced_without_the_file(tmp_path: Path) -> None:
    assert "KIND" in YAML
    folder = lay_out(tmp_path, "none")
    elsewhere(folder)
    data = ("update", "one.parquet", "--reason", "a new network", "--by", "alice", *CHANGED)
    before = {path for path in (folder / ".instar").rglob("*") if path.is_file()}
    refused = instar.open(folder, by="alice")
    said = says_error(folder, *data, "--set", "policy.train.pretrained=other.safetensors")
    assert "conv.weight (3, 3)" in said
    said = says_error(folder, *data, "--set", "policy.train.pretrained=nowhere.onnx")
    assert "nowhere.onnx" in said
    assert str(tmp_path) not in said
    after = {path for path in (folder / ".instar").rglob("*") if path.is_file()}
    assert {path for path in after - before if "artifacts" in path.parts} == set()
    assert refused.champion().network.options == {"hidden": [8]}

    given = ("--set", "policy.train.pretrained=backbone.onnx")
    says(folder, *data, *given, status=3)
    shown = says(folder, "show", "u0001")
    bodies = {entry["kind"]: entry["body"] for entry in shown["entries"]}
    assert bodies["plan"]["strategy"] == "transfer"
    assert bodies["request"]["pretrained"]["name"] == "backbone.onnx"
    [found] = [one for one in bodies["training"]["findings"] if one["code"] == "pretrained"]
    assert "2 of the network's 4 tensors" in found["message"]
    (folder / "backbone.onnx").unlink()
    assert says(folder, "reproduce", "u0001", "--by", "bob")["equal"]


def says_error(folder: Path, *words: str) -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "instar", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr
