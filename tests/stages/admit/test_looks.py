import io

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from instar.core.data import TaskKind
from instar.core.finding import Verdict, worst
from instar.core.policy import AdmitPolicy, DataSettings
from instar.data import preprocessing
from instar.data.schema import infer_schema, infer_task
from instar.stages.admit import ask
from instar.stages.admit.evidence import Evidence
from instar.stages.admit.looks import fields, looks
from instar.testing.tools import fake_tools


def encoded(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def frame(pixels, labels):
    return pl.DataFrame({"image": [encoded(each) for each in pixels], "label": labels})


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """Ask all checks about images, beside a champion that is right on nine of ten."""
    digits = load_digits()
    pixels, labels = digits.images * 15, digits.target
    old, held = frame(pixels[:800], labels[:800]), frame(pixels[800:1000], labels[800:1000])
    task = infer_task(old, TaskKind.MULTICLASS, "label")
    schema = infer_schema(old, task, DataSettings())
    rng = np.random.default_rng(0)

    def answers(rows):
        right = preprocessing.labels(rows, task)
        said = np.where(rng.random(len(right)) < 0.9, right, rng.integers(0, 10, len(right)))
        return np.eye(10)[said]

    def asked(change):
        fresh = frame(change(pixels[1000:]), labels[1000:]).with_columns(pl.col("label").cast(str))
        evidence = Evidence(
            fresh, old.with_columns(pl.col("label").cast(str)),
            held.with_columns(pl.col("label").cast(str)), schema, task,
            preprocessing.fit(old, schema, DataSettings()), AdmitPolicy(), answers,
        )  # fmt: skip
        return ask(evidence, fake_tools(tmp_path_factory.mktemp("gate")))[0]

    return asked


def test_looks_agree_with_numpy():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12))
    images = pl.Series("image", [encoded(each) for each in pixels])
    told = looks(images)
    np.testing.assert_allclose(told["image brightness"], pixels.mean(axis=(1, 2)) / 255)
    np.testing.assert_allclose(told["image contrast"], pixels.std(axis=(1, 2)) / 255)
    means = pixels.reshape(3, 6, 2, 6, 2).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(fields(images), means.reshape(3, 36), atol=1.01 / 255)


def test_gate_images_of_the_same_kind_pass(gate):
    findings = gate(lambda pixels: pixels)
    assert worst(findings) is Verdict.PASS, [f.message for f in findings if f.enforced]


def test_gate_images_of_another_scanner_are_told_apart(gate):
    findings = {finding.code: finding for finding in gate(lambda pixels: 255 - pixels / 2)}
    assert findings["drift:image brightness"].measured > 1
    assert findings["joint_drift"].measured > 0.95
