from __future__ import annotations

import json

import numpy as np
import pytest

from instar.bundle import runtime
from instar.bundle.errors import PredictionFailed
from instar.bundle.runtime import ServedBundle
from instar.core.errors import IntegrityError
from instar.testing.bundles import PREPROCESSING, SCHEMA, TASK, tiny_bundle
from instar.testing.tools import MemoryArtifacts


def opened(**options) -> ServedBundle:
    artifacts = MemoryArtifacts()
    return ServedBundle.open(artifacts, tiny_bundle(artifacts, **options))


def by_hand(x, y, colour, bias=0.0):
    shift = {"red": 0.5, "blue": -0.5}.get(colour, 0.0)
    p = 1 / (1 + np.exp(-((x or 0.0) - (y or 0.0) + bias + shift)))
    return [1 - p, p]


def test_open_tells_what_the_bundle_is():
    bundle = opened(version="model_v20300101_0000")
    assert bundle.version == "model_v20300101_0000"
    assert (bundle.task, bundle.preprocessing, bundle.schema) == (TASK, PREPROCESSING, SCHEMA)
    assert [put["name"] for put in bundle.inputs] == ["x", "y", "colour"]


@pytest.mark.parametrize("rows", [1, 7])
def test_predict_agrees_with_the_formula(rows):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, rows)).tolist()
    colours = (["red", "blue", "green", None, "", "red", "blue"])[:rows]
    scores = opened(bias=0.2).predict({"x": x, "y": y, "colour": colours})
    expected = [by_hand(*row, bias=0.2) for row in zip(x, y, colours, strict=True)]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_predict_fills_absent_columns():
    scores = opened().predict({"y": [None], "unheard_of": [1]})
    np.testing.assert_allclose(scores, [by_hand(None, None, None)], atol=1e-6)


def test_predict_in_chunks_equals_predict_at_once(monkeypatch):
    bundle = opened()
    columns = {"x": np.linspace(-3, 3, 10), "colour": ["red", "blue"] * 5}
    whole = bundle.predict(columns)
    monkeypatch.setattr(runtime, "CHUNK", 3)
    np.testing.assert_array_equal(bundle.predict(columns), whole)


def test_predict_reports_a_failing_graph_without_its_words():
    bundle = opened(fails_above=2.0)
    assert bundle.predict({"x": [1.0]}).shape == (1, 2)
    with pytest.raises(PredictionFailed) as caught:
        bundle.predict({"x": [1.0, 3.0]})
    assert "Gather" not in str(caught.value)


def test_open_refuses_a_damaged_graph():
    artifacts = MemoryArtifacts()
    digest = tiny_bundle(artifacts)
    listed = json.loads(artifacts.read(digest))["files"]
    graph = next(file["digest"] for file in listed if file["name"] == "model.onnx")
    artifacts.kept[graph] = artifacts.kept[graph] + b"\0"
    with pytest.raises(IntegrityError):
        ServedBundle.open(artifacts, digest)


def test_open_refuses_a_missing_file():
    artifacts = MemoryArtifacts()
    digest = tiny_bundle(artifacts)
    del artifacts.kept[json.loads(artifacts.read(digest))["files"][0]["digest"]]
    with pytest.raises(IntegrityError):
        ServedBundle.open(artifacts, digest)


def test_warm_answers_rows_of_any_kind_of_bundle():
    opened().warm(n=2)
