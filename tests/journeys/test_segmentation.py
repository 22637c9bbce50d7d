"""Masks beside images, from end to end: taken over, updated, released, served."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.metrics import jaccard_score
from torch import nn
from torch.nn import functional

import instar
from instar.core.records import Admission, Validation
from tests.journeys.test_digits import says, serving

SIDE, PALER = 12, 0.75
POLICY = """
model: strokes
task: {kind: segmentation, target: mask, classes: [paper, pale, dark]}
network: nets:build
policy:
  admit: {balance: 1, drift_effect: 50, joint_auc: 1, duplicates: 1, min_rows: 100}
  plan: {strategy: warm}
  train: {lr: 0.01, batch: 32, full_epochs: 4}
  package: {int8: never}
  validate:
    old_margin: 0.1
    flips: {max: 0.1, old_max: 0.1}
    suspicious_gain: 0.9
    attack: {enforced: false, rows: 10, steps: 2}
    resamples: 200
  release: {strategy: all_at_once, tick_s: 0.05}
"""
NETS = """
from torch import nn
def build(inputs):
    channels, height, width = inputs.image
    return nn.Sequential(
        nn.Conv2d(channels, 12, 5, padding=2), nn.ReLU(),
        nn.Conv2d(12, 16, 7, padding=3), nn.ReLU(),
        nn.Conv2d(16, inputs.outputs, 1),
    )
"""


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def drawn(rows: slice, ink: float) -> pl.DataFrame:
    """Put scikit-learn's digits on paper; masks tell paper, the rim of a stroke and its middle.

    `ink` is how dark the strokes are. What is hardly ink has no label.
    """
    bunch, random = load_digits(), np.random.default_rng(rows.start or 0)
    images, masks = [], []
    for image in bunch.images[rows]:
        paper = np.zeros((SIDE, SIDE))
        down, right = random.integers(0, SIDE - 8, 2)
        paper[down : down + 8, right : right + 8] = image
        mask = np.digitize(paper, [4, 11])
        mask[(paper > 1) & (paper < 4)] = 255
        noise = random.normal(0, 4, paper.shape)
        images.append(png(np.clip(paper * 15 * ink + noise + 8, 0, 255)))
        masks.append(png(mask))
    names = [f"{number}.png" for number in range(len(images))]
    return pl.DataFrame({"image": images, "mask": masks, "file_name": names})


@pytest.fixture
def strokes(tmp_path: Path) -> Path:
    """Lay out a project whose champion learnt from dark ink, in plain PyTorch."""
    (tmp_path / "instar.yaml").write_text(POLICY)
    (tmp_path / "nets.py").write_text(NETS)
    drawn(slice(0, 400), 1.0).write_parquet(tmp_path / "train.parquet")
    drawn(slice(400, 520), 1.0).write_parquet(tmp_path / "holdout.parquet")
    folder = tmp_path / "fresh"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    fresh = drawn(slice(520, 1000), PALER)
    for number, (image, mask, _) in enumerate(fresh.rows()):
        (folder / "images" / f"{number:04}.png").write_bytes(image)
        (folder / "masks" / f"{number:04}.png").write_bytes(mask)
    old = pl.read_parquet(tmp_path / "train.parquet")
    pixels, masks = (
        torch.tensor(np.stack([np.asarray(Image.open(BytesIO(data))) for data in old[name]]))
        for name in ("image", "mask")
    )
    torch.manual_seed(0)
    net = network()
    descent = torch.optim.Adam(net.parameters(), lr=0.01)
    inputs = (pixels.float() * (2 / 255) - 1)[:, None]
    for _ in range(8):
        for batch in torch.randperm(len(inputs)).split(40):
            loss = functional.cross_entropy(
                net(inputs[batch]), masks[batch].long(), ignore_index=255
            )
            descent.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            descent.step()
    save_file(net.state_dict(), tmp_path / "champion.safetensors")
    return tmp_path


def network() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.Conv2d(12, 16, 7, padding=3), nn.ReLU()),
        nn.Conv2d(16, 3, 1),
    )


def test_masks_are_learnt_released_and_served(strokes: Path) -> None:
    alice, bob = instar.open(strokes, by="alice"), instar.open(strokes, by="bob")
    alice.adopt("champion.safetensors", train="train.parquet", holdout="holdout.parquet")
    asked = alice.update("fresh", reason="paler ink")
    assert asked.state.value == "waiting", asked
    records = alice.state(asked.update).records
    validation, admission = records[Validation], records[Admission]
    found = {finding.code: finding for finding in validation.findings}
    limit = found["limits:mean_iou:min"]
    assert (limit.limit, limit.verdict.value) == (0.6, "pass")
    assert "of the pixels were right" in found["flips:fresh"].message
    assert (
        found["flips:fresh"].n < admission.split.test.rows * SIDE**2
    )  # without what is hardly ink
    assert {"mean_iou", "mean_dice", "pixel_accuracy"} <= set(validation.candidate)
    assert validation.candidate["mean_iou"] > validation.champion["mean_iou"]
    assert "pixels are answered rightly" in found["confusion"].message
    assert "mean_iou" in bob.report(asked.update)
    bob.approve(asked.update)
    with serving(strokes) as url, httpx.Client(base_url=url, timeout=10) as client:
        assert says(strokes, "release", asked.update, "--by", "olga")["state"] == "promoted"
        listed = client.get("/v2/models/strokes").json()["outputs"]
        assert [(one["name"], one["datatype"], one["shape"]) for one in listed] == [
            ("scores", "FP32", [-1, 3, -1, -1]),
            ("mask", "UINT8", [-1, -1, -1]),
        ]
        rows = drawn(slice(1000, 1040), PALER)
        images, masks = (
            np.stack([np.asarray(Image.open(BytesIO(data))) for data in rows[name]])
            for name in ("image", "mask")
        )
        tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
        tensor["data"] = images.ravel().tolist()
        body = {"id": "r", "inputs": [tensor], "outputs": [{"name": "mask"}]}
        answer = client.post("/v2/models/strokes/infer", json=body).json()
        [out] = answer["outputs"]
        assert (answer["model_version"], out["shape"]) == (asked.candidate, [40, SIDE, SIDE])
        said = np.array(out["data"], np.uint8).reshape(out["shape"])
        known = masks != 255
        live = jaccard_score(masks[known], said[known], average="macro")
        assert live == pytest.approx(validation.candidate["mean_iou"], abs=0.12)
        items = [{"id": "r/0", "label": "pale"}]
        told = client.post("/api/v1/feedback", json={"items": items}).json()
        assert "next update" in told["refused"][0]["error"]
        seen = {f["code"]: f for f in says(strokes, "watch", status=None)["watch"]["findings"]}
        assert seen["live_quality"]["verdict"] == "inconclusive"
        assert seen["score_drift"]["n"] is None
