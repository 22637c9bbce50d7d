"""Several labels a row, from end to end: taken over, updated, released, served, watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

import instar
from instar.core.records import Admission, Validation
from tests.journeys.test_digits import says, serving

LABELS = ("even", "looped", "large")  # of a digit: 0, 6, 8 and 9 have loops
PIXELS = [f"p{place}" for place in range(64)]
POLICY = """
model: marks
task: {kind: multilabel, targets: [even, looped, large], thresholds: [0.5, 0.4, 0.6]}
network: nets:build
policy:
  admit: {balance: 1, drift_effect: 20, joint_auc: 1, label_noise: 0.9, duplicates: 1, outliers: 1}
  plan: {strategy: warm}
  train: {lr: 0.01, batch: 64, full_epochs: 8}
  package: {int8: never}
  validate:
    metrics:
      macro_auroc: {min: 0.8, margin: 0.02}
      hamming_loss: {max: 0.2}
    old_margin: 0.05
    flips: {max: 0.2, old_max: 0.2}
    suspicious_gain: 0.9
    attack: {enforced: false, rows: 20}
  release: {strategy: all_at_once, tick_s: 0.05}
  watch: {window: 60}
"""
NETS = """
from torch import nn
def build(inputs):
    return nn.Sequential(nn.Linear(inputs.numbers, 32), nn.ReLU(), nn.Linear(32, inputs.outputs))
"""


def table() -> pl.DataFrame:
    """Say three things of each of scikit-learn's digits; a tenth of them nobody has said."""
    bunch = load_digits()
    digit = bunch.target
    said = {"even": digit % 2 == 0, "looped": np.isin(digit, (0, 6, 8, 9)), "large": digit > 4}
    frame = pl.DataFrame(bunch.data, schema=PIXELS).with_columns(
        pl.Series(name, marks.astype(int)) for name, marks in said.items()
    )
    random = np.random.default_rng(0)
    for name in LABELS:
        unknown = pl.Series(random.random(frame.height) < 0.1)
        frame = frame.with_columns(pl.when(unknown).then(None).otherwise(name).alias(name))
    return frame


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return table()


@pytest.fixture
def marks(tmp_path: Path, frame: pl.DataFrame) -> Path:
    """Lay out a project whose champion learnt from the first 700 digits, in plain PyTorch."""
    (tmp_path / "instar.yaml").write_text(POLICY)
    (tmp_path / "nets.py").write_text(NETS)
    for name, rows in (("train", frame[:700]), ("holdout", frame[700:900]), ("fresh", frame[900:])):
        rows.write_parquet(tmp_path / f"{name}.parquet")
    old = frame[:700]
    pixels, labels = (
        torch.tensor(old.select(names).cast(pl.Float32).to_numpy()) for names in (PIXELS, LABELS)
    )
    low, high = pixels.min(dim=0).values, pixels.max(dim=0).values
    span = torch.where(high > low, high - low, 2.0)  # a pixel without spread becomes 0
    scaled = torch.where(high > low, 2 * (pixels - low) / span - 1, 0.0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    descent = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(60):
        cells = functional.binary_cross_entropy_with_logits(
            net(scaled), labels.nan_to_num(), reduction="none"
        )
        descent.zero_grad()
        cells[~labels.isnan()].mean().backward()  # type: ignore[no-untyped-call]
        descent.step()
    save_file(net.state_dict(), tmp_path / "champion.safetensors")
    return tmp_path


def tensors(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [rows.height], "datatype": "FP64", "data": rows[name].to_list()}
        for name in PIXELS
    ]


def test_several_labels_are_updated_released_and_served(marks: Path, frame: pl.DataFrame) -> None:
    alice, bob = instar.open(marks, by="alice"), instar.open(marks, by="bob")
    alice.adopt("champion.safetensors", train="train.parquet", holdout="holdout.parquet")
    asked = alice.update("fresh.parquet", reason="more digits")
    assert asked.state.value == "waiting", asked
    records = alice.state(asked.update).records
    validation, admission = records[Validation], records[Admission]
    found = {finding.code: finding for finding in validation.findings}
    assert found["metrics:macro_auroc"].picture["kind"] == "intervals"
    assert "of the labels were right" in found["flips:fresh"].message
    fresh = admission.split.test.rows
    assert 2 * fresh < found["flips:fresh"].n < 3 * fresh  # a tenth of the labels is not known
    assert {"macro_f1", "micro_f1", "subset_accuracy", "hamming_loss"} <= set(validation.candidate)
    page = bob.report(asked.update)
    assert "macro_auroc" in page
    assert "even, looped, large" in page
    bob.approve(asked.update)
    with serving(marks) as url, httpx.Client(base_url=url, timeout=10) as client:
        assert says(marks, "release", asked.update, "--by", "olga")["state"] == "promoted"
        listed = client.get("/v2/models/marks").json()["outputs"]
        assert [(one["name"], one["datatype"], one["shape"]) for one in listed] == [
            ("scores", "FP32", [-1, 3]),
            ("decisions", "BOOL", [-1, 3]),
        ]
        assert listed[1]["parameters"] == {"labels": "even,looped,large"}
        rows = frame[1400:1500]
        body = {"id": "r", "inputs": tensors(rows)}
        answer = client.post("/v2/models/marks/infer", json=body).json()
        assert answer["model_version"] == asked.candidate
        scores, given = (np.array(out["data"]).reshape(out["shape"]) for out in answer["outputs"])
        np.testing.assert_array_equal(given, scores >= [0.5, 0.4, 0.6])
        known = ~np.isnan(rows.select(LABELS).cast(pl.Float64).to_numpy())
        truth = rows.select(LABELS).fill_null(0).to_numpy()
        assert roc_auc_score(truth[known], scores[known]) > 0.9
        one = client.post(
            "/v2/models/marks/predict", json={"rows": rows.select(PIXELS).head(1).to_dicts()}
        ).json()["predictions"][0]
        wanted = [name for name, yes in zip(LABELS, given[0], strict=True) if yes]
        assert one["labels"] == wanted
        items = [
            {"id": f"r/{place}", "label": row}
            for place, row in enumerate(rows.select(LABELS).to_dicts())
        ]
        items += [{"id": "r/0", "label": ["odd"]}, {"id": "r/0", "label": "even"}]
        told = client.post("/api/v1/feedback", json={"items": items}).json()
        assert (told["joined"], len(told["refused"])) == (100, 2)
        seen = {f["code"]: f for f in says(marks, "watch", status=None)["watch"]["findings"]}
        live = seen["live_quality:micro_f1"]
        hits = (given & (truth == 1) & known).sum()
        f1 = 2 * hits / ((given & known).sum() + (truth[known] == 1).sum())
        assert live["n"] == 60
        assert live["measured"] == pytest.approx(f1, abs=0.1)
        assert seen["score_drift"]["verdict"] == "inconclusive"
