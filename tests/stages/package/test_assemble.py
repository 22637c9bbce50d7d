from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from torch import nn

from instar.bundle.format import Contents
from instar.bundle.runtime import ServedBundle
from instar.core.data import InputSpec, NumberColumn, Preprocessing, Schema, Task, TaskKind
from instar.data import preprocessing as prepare
from instar.models.predict import logits, probabilities
from instar.stages.package.assemble import assemble
from instar.stages.package.export import export

HOW = Preprocessing(numbers=(NumberColumn("a", 1.0, 0.5, 0.1), NumberColumn("b", 0.0, 2.0, 0.0)))
FRAME = pl.DataFrame({"a": [0.5, None, -2.0], "b": [1.0, 3.0, None]})


@pytest.mark.parametrize(
    "task",
    [
        Task(TaskKind.BINARY, "y", ("no", "yes")),
        Task(TaskKind.MULTICLASS, "y", ("a", "b", "c")),
        Task(TaskKind.REGRESSION, "y"),
    ],
    ids=lambda task: task.kind.value,
)
def test_assembled_graph_answers_like_network_and_preprocessing(task):
    module = nn.Linear(2, task.outputs).eval()
    graph = assemble(export(module, InputSpec(numbers=2, outputs=task.outputs), 20), HOW, task)
    contents = Contents(task, HOW, Schema(()), "model.onnx", "fp32", ())
    scores = ServedBundle("v", contents, graph, threads=1).predict(prepare.columns(FRAME, HOW))
    expected = probabilities(logits(module, prepare.inputs(FRAME, HOW)), task)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)
