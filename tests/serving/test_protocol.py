"""What the real gateway's tests do not reach: images, regressions, several numbers."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from instar.core.data import Task, TaskKind
from instar.core.errors import UnknownName
from instar.serving import protocol
from instar.serving.desk import truth
from instar.serving.models import Version
from instar.serving.protocol import Malformed
from instar.tasks import WrongLabel

IMAGE = {"image": {"name": "image", "datatype": "UINT8", "shape": [-1, 2, 2]}}


def image(shape: list[int], data: Any) -> protocol.Infer:
    tensor = {"name": "image", "datatype": "UINT8", "shape": shape, "data": data}
    return protocol.read_infer(json.dumps({"inputs": [tensor]}).encode())


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[[1, 2], [3, 4]]]])
def test_image_is_read_flat_or_nested(data: Any) -> None:
    found = protocol.columns(image([1, 2, 2], data), IMAGE, ())["image"]
    assert found.tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([1, 2, 2], [1, 2, 3]),
        ([1, 2, 2], [[1, 2], [3, 4]]),
        ([1, 2, 2], [[[1, 2], [3]]]),
        ([1, 2, 3], [1, 2, 3, 4, 5, 6]),
        ([4], [1, 2, 3, 4]),
        ([-1, 2, 2], [1, 2, 3, 4]),
    ],
)
def test_image_of_another_shape_is_refused(shape: list[int], data: Any) -> None:
    with pytest.raises(Malformed):
        protocol.columns(image(shape, data), IMAGE, ())


def version(task: Task) -> Version:
    bundle = SimpleNamespace(task=task)
    return Version("v", "sha256:0", cast("Any", bundle), {})


def test_regression_answers_a_value_and_no_label() -> None:
    made = version(Task(TaskKind.REGRESSION, "y"))
    assert [output["name"] for output in made.outputs] == ["scores"]
    scores = np.array([[1.5], [2.5]], np.float32)
    answer = protocol.answer("m", made, image([1, 2, 2], [1, 2, 3, 4]), scores)
    assert answer["outputs"] == [
        {"name": "scores", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 2.5]}
    ]
    rows = protocol.answer_rows("m", made, protocol.read_rows(b'{"rows": [{}, {}]}'), scores)
    assert rows["predictions"] == [{"value": 1.5}, {"value": 2.5}]


def test_multiclass_answers_the_likeliest_class() -> None:
    made = version(Task(TaskKind.MULTICLASS, "y", ("a", "b", "c")))
    scores = np.array([[0.1, 0.2, 0.7]], np.float32)
    answer = protocol.answer("m", made, image([1, 2, 2], [1, 2, 3, 4]), scores)
    assert answer["outputs"][1]["data"] == ["c"]


@pytest.mark.parametrize(
    ("label", "expected"), [("1", 0.0), (1, 0.0), (1.0, 0.0), ("true", 1.0), (True, 1.0)]
)
def test_truth_reads_a_label_however_it_is_written(label: Any, expected: float) -> None:
    assert truth(label, Task(TaskKind.BINARY, "y", ("1", "true"))) == expected


def test_truth_refuses_what_is_no_label() -> None:
    with pytest.raises(UnknownName):
        truth(1.5, Task(TaskKind.BINARY, "y", ("0", "1")))
    for label in ("7", True, float("inf")):
        with pytest.raises(WrongLabel):
            truth(label, Task(TaskKind.REGRESSION, "y"))
    assert truth(7, Task(TaskKind.REGRESSION, "y")) == 7.0
