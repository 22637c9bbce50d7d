"""Boxes in images, from end to end: taken over, updated, released, served."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest
from PIL import Image

import instar
from instar.core.records import Admission, Plan, Training, Validation
from tests.journeys.conftest import lay_out
from tests.journeys.test_digits import run, says, serving


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out("shapes", tmp_path_factory.mktemp("shapes"))


@pytest.fixture
def shapes(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "shapes")
    return tmp_path / "shapes"


def test_boxes_are_learnt_released_and_served(shapes: Path) -> None:
    alice, bob = instar.open(shapes, by="alice"), instar.open(shapes, by="bob")
    alice.adopt("champion.safetensors", train="data/train.parquet", holdout="data/holdout.parquet")
    (shapes / "data/train.parquet").unlink()  # what counts is in the store
    asked = alice.update("data/fresh.parquet", reason="another camera")
    records = alice.state(asked.update).records
    assert asked.state.value == "waiting", asked
    validation, admission = records[Validation], records[Admission]
    found = {finding.code: finding for finding in validation.findings}
    assert {"map", "map50", "mean_recall", "object_f1"} <= set(validation.candidate)
    assert validation.candidate["map"] > validation.champion["map"] + 0.05
    assert "objects and backgrounds were right" in found["flips:fresh"].message
    assert found["flips:fresh"].n > admission.split.test.rows
    assert found["confusion"].picture["classes"] == ["disc", "square", "nothing"]
    assert found["parity"].measured < 0.01
    training = records[Training]
    assert training.recipe
    assert {f.code for f in training.findings} >= {"convergence", "overfit"}
    assert records[Plan].strategy in {one.strategy for one in records[Plan].forecasts}
    assert "map" in bob.report(asked.update)
    bob.approve(asked.update)
    with serving(shapes) as url, httpx.Client(base_url=url, timeout=10) as client:
        assert says(shapes, "release", asked.update, "--by", "olga")["state"] == "promoted"
        listed = client.get("/v2/models/shapes").json()["outputs"]
        assert [(one["name"], one["datatype"], one["shape"]) for one in listed] == [
            ("boxes", "FP32", [-1, 100, 4]),
            ("labels", "INT64", [-1, 100]),
            ("scores", "FP32", [-1, 100]),
        ]
        rows = pl.read_parquet(shapes / "data/fresh.parquet").tail(40)
        images = np.stack([np.asarray(Image.open(BytesIO(data))) for data in rows["image"]])
        tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
        tensor["data"] = images.ravel().tolist()
        answer = client.post("/v2/models/shapes/infer", json={"inputs": [tensor]}).json()
        assert answer["model_version"] == asked.candidate
        out = {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer["outputs"]}
        plain = {"rows": [{"image": image.tolist()} for image in images]}
        told = client.post("/v2/models/shapes/predict", json=plain).json()["predictions"]
        hits = shown = 0
        for place, (cell, said) in enumerate(zip(rows["boxes"].to_list(), told, strict=True)):
            assert len(said["objects"]) == (out["scores"][place] >= 0.5).sum()
            shown += len(cell)
            for one in cell:
                hits += any(
                    other["label"] == one["label"]
                    and np.abs(np.subtract(other["box"], one["box"])).max() < 3
                    for other in said["objects"]
                )
        assert hits > 0.6 * shown
        items = [{"id": "r/0", "label": ["disc"]}]
        refused = client.post("/api/v1/feedback", json={"items": items}).json()["refused"]
        assert "next update" in refused[0]["error"]
        seen = {f["code"]: f for f in says(shapes, "watch", status=None)["watch"]["findings"]}
        assert seen["live_quality"]["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("bad", "needle"),
    [
        pytest.param(
            {"label": "disc", "box": [9.0, 2.0, 4.0, 8.0]}, "0 <= x1 < x2 <= 32", id="box"
        ),
        pytest.param({"label": "star", "box": [1.0, 2.0, 4.0, 8.0]}, "'star'", id="class"),
    ],
)
def test_bad_boxes_are_refused_in_one_line(
    prepared: Path, tmp_path: Path, bad: dict, needle: str
) -> None:
    folder = tmp_path / "shapes"
    shutil.copytree(prepared, folder)
    rows = pl.read_parquet(folder / "data/train.parquet").head(50)
    cells = [[bad], *rows["boxes"].to_list()[1:]]
    rows.with_columns(pl.Series("boxes", cells)).write_parquet(folder / "data/train.parquet")
    words = ("--train", "data/train.parquet", "--holdout", "data/holdout.parquet")
    done = run(folder, "adopt", "champion.safetensors", *words)
    assert done.returncode == 2
    assert needle in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not instar.open(folder, by="alice").history()
