"""A small trained network on real rows, for every test of packaging."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from instar.core.data import Preprocessing, Schema, Task, TaskKind
from instar.core.policy import DataSettings
from instar.data import preprocessing as prepare
from instar.data.schema import infer_schema, infer_task

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.table = nn.Embedding(inputs.categories[0], 3)
        self.body = nn.Sequential(nn.Linear(inputs.numbers + 3, 16), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(16, inputs.outputs)

    def forward(self, numbers, categories):
        return self.head(self.body(torch.cat([numbers, self.table(categories[:, 0])], dim=1)))


def build(inputs):
    return Net(inputs)
"""


@dataclass(frozen=True)
class Case:
    """A trained network with everything that packaging needs beside it."""

    module: nn.Module
    how: Preprocessing
    schema: Schema
    task: Task
    train: pl.DataFrame
    valid: pl.DataFrame


def tumours() -> pl.DataFrame:
    """Breast cancer cells, with a category cut from one column and with gaps."""
    data = load_breast_cancer()
    rng = np.random.default_rng(0)
    columns = {f"n{i}": data.data[:, i].tolist() for i in (0, 1, 4, 7)}
    for name in ("n1", "n4"):
        columns[name] = [
            None if gap else v for v, gap in zip(columns[name], rng.random(569) < 0.1, strict=True)
        ]
    edges = np.quantile(data.data[:, 20], [0.25, 0.5, 0.75])
    sizes = np.array(["tiny", "small", "large", "huge"])[np.searchsorted(edges, data.data[:, 20])]
    columns["size"] = [
        None if gap else str(v) for v, gap in zip(sizes, rng.random(569) < 0.1, strict=True)
    ]
    columns["benign"] = ["no" if y == 0 else "yes" for y in data.target]
    return pl.DataFrame(columns)


def learn(module: nn.Module, case_inputs, labels, steps=150) -> nn.Module:
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    parts = [torch.tensor(part) for part in case_inputs]
    truth = torch.tensor(labels).float()
    for _ in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(module(*parts)[:, 0], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def nets() -> str:
    return NETS


@pytest.fixture(scope="session")
def case() -> Case:
    frame = tumours()
    task = infer_task(frame, TaskKind.BINARY, "benign")
    schema = infer_schema(frame, task, DataSettings())
    train, valid = frame[:400], frame[400:]
    how = prepare.fit(train, schema, DataSettings())
    scope: dict = {}
    exec(NETS, scope)
    torch.manual_seed(0)
    module = scope["build"](how.inputs(task.outputs))
    learn(module, prepare.inputs(train, how), prepare.labels(train, task))
    return Case(module, how, schema, task, train, valid)


@pytest.fixture(scope="session")
def network(case):
    from instar.stages.package.export import export

    return export(case.module, case.how.inputs(case.task.outputs), 20)


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir(exist_ok=True)
    (folder / "nets.py").write_text(NETS)
    return folder
