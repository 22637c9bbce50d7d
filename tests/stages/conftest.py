"""A small model line: a champion trained on old rows, and fresh rows that may have drifted."""

from __future__ import annotations

import runpy
import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits

from instar.core.data import Snapshot, Split, Task, TaskKind
from instar.core.finding import Verdict
from instar.core.policy import DataSettings, SplitSettings
from instar.core.records import Admission, Bundle, ModelVersion, Network, Plan, Request
from instar.core.tools import Tools
from instar.data import preprocessing, snapshot
from instar.data.boxes import canonical
from instar.data.schema import infer_schema
from instar.data.split import split
from instar.models import build, weights
from instar.models.tasks import lesson_of
from instar.testing.tools import fake_tools

torch.set_num_threads(1)

BINARY = Task(TaskKind.BINARY, "answer", ("no", "yes"))
DIGITS = Task(TaskKind.MULTICLASS, "digit", tuple("0123456789"))
VALUE = Task(TaskKind.REGRESSION, "progression")
SMALL = Network(family="mlp", options={"hidden": [16]})


@dataclass(frozen=True)
class Line:
    request: Request
    champion: ModelVersion
    admission: Admission
    tools: Tools


def coins(rows: int, seed: int, turn: float = 0.0) -> pl.DataFrame:
    """Draw rows whose answer hangs on x, y and colour; `turn` (radians) is the concept's drift."""
    rng = np.random.default_rng(seed)
    x, y, leak = rng.normal(size=(3, rows))
    colour = rng.choice(["blue", "green", "red"], rows)
    pull = 3 * (np.cos(turn) * x + np.sin(turn) * y) + 1.5 * (colour == "red")
    answer = np.where(pull + rng.logistic(size=rows) > 0, "yes", "no")
    leak += 3 * (answer == "yes")
    return pl.DataFrame({"x": x, "y": y, "colour": colour, "leak": leak, "answer": answer})


def digits(rows: slice) -> pl.DataFrame:
    bunch = load_digits()
    table = {f"p{i}": bunch.data[rows, i] for i in range(0, 64, 2)}
    return pl.DataFrame({**table, "digit": bunch.target[rows].astype(str)})


def diabetes(rows: slice) -> pl.DataFrame:
    bunch = load_diabetes(scaled=False)
    table = {name: bunch.data[rows, i] for i, name in enumerate(bunch.feature_names)}
    return pl.DataFrame({**table, "progression": bunch.target[rows] / 100})


def train_champion(net: torch.nn.Module, inputs, labels, task: Task, steps: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    lesson = lesson_of(task)
    truth = lesson.labels(labels)
    for _ in range(steps):
        loss = lesson.cost(net, inputs, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def lay_out(
    folder,
    old: pl.DataFrame,
    fresh: pl.DataFrame,
    task: Task,
    *,
    ignore: tuple[str, ...] = (),
    network: Network = SMALL,
    steps: int = 150,
    seed: int = 0,
    state: dict[str, torch.Tensor] | None = None,
) -> Line:
    tools = fake_tools(folder, seed=seed)
    settings = DataSettings(ignore=ignore)
    schema = infer_schema(old, task, settings)
    how = preprocessing.fit(old, schema, settings)
    torch.manual_seed(7)
    net = build.build(network, how.spec(task), tools.project)
    if state:
        net.load_state_dict(state)
    held = old.height // 5
    held_out, learnt = old.head(held), old.tail(-held)
    inputs = tuple(torch.tensor(part) for part in preprocessing.inputs(learnt, how))
    train_champion(net, inputs, preprocessing.labels(learnt, task), task, steps)

    def take(frame: pl.DataFrame, name: str) -> Snapshot:
        return snapshot.take(frame, schema, tools.artifacts, name)

    champion = ModelVersion(
        name="model_v20260101_0000",
        task=task,
        network=network,
        schema=schema,
        preprocessing=how,
        weights=tools.artifacts.put(weights.save(net)),
        bundle=Bundle("model_v20260101_0000", "", (), "", "fp32", Verdict.PASS, ()),
        train=(take(learnt, "old"),),
        holdout=(take(held_out, "holdout"),),
        recipe={"lr": 0.02, "batch": 64, "epochs": 12},
    )
    parts = split(fresh, task, SplitSettings(), seed=0)
    whole = take(fresh, "fresh")
    admission = Admission(
        Verdict.PASS, (), fresh.height, schema, split=Split(*(take(p, "fresh") for p in parts))
    )
    request = Request(
        update="u1",
        model="line",
        reason="test",
        by="ann",
        fresh=whole,
        task=task,
        network=network,
        features=how.columns,
        policy="",
        seed=seed,
        champion=champion.name,
    )
    return Line(request, champion, admission, tools)


@pytest.fixture
def line(tmp_path):
    """Make a binary line: `line(turn=1.0)` drifts; `line(fresh_rows=300)` is short of labels."""

    def make(
        *, turn: float = 0.0, old_rows: int = 1500, fresh_rows: int = 800, seed: int = 0, **more
    ):
        old, fresh = coins(old_rows, 1), coins(fresh_rows, 2, turn)
        return lay_out(tmp_path, old, fresh, BINARY, ignore=("leak",), seed=seed, **more)

    return make


@pytest.fixture
def digits_line(tmp_path):
    return lay_out(tmp_path, digits(slice(0, 1000)), digits(slice(1000, 1797)), DIGITS)


@pytest.fixture
def diabetes_line(tmp_path):
    return lay_out(tmp_path, diabetes(slice(0, 250)), diabetes(slice(250, 442)), VALUE, steps=60)


MARKS = Task(TaskKind.MULTILABEL, classes=("even", "large"), targets=("even", "large"))
STROKES = Task(TaskKind.SEGMENTATION, "mask", ("paper", "pale", "dark"))
PAINTER = """
from torch import nn
def build(inputs):
    return nn.Sequential(
        nn.Conv2d(inputs.image[0], 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, inputs.outputs, 1),
    )
"""


def marks(rows: slice) -> pl.DataFrame:
    """Say two things of each digit; every seventh time the second one is not known."""
    frame, digit = digits(rows).drop("digit"), load_digits().target[rows]
    known = np.arange(len(digit)) % 7 > 0
    large = [float(value > 4) if there else None for value, there in zip(digit, known, strict=True)]
    return frame.with_columns(
        pl.Series("even", (digit % 2 == 0).astype(float)), pl.Series("large", large)
    )


def strokes(rows: slice, ink: float) -> pl.DataFrame:
    """Lay a mask beside each digit: paper, pale and dark strokes; what is hardly ink is void."""

    def png(pixels: np.ndarray) -> bytes:
        file = BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
        return file.getvalue()

    images = load_digits().images[rows]
    masks = np.where((images > 1) & (images < 4), 255, np.digitize(images, [4, 11]))
    return pl.DataFrame(
        {"image": [png(i * 15 * ink) for i in images], "mask": [png(m) for m in masks]}
    )


@pytest.fixture
def marks_line(tmp_path):
    return lay_out(tmp_path, marks(slice(0, 700)), marks(slice(700, 1200)), MARKS, steps=60)


@pytest.fixture
def strokes_line(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "nets.py").write_text(PAINTER)
    old, fresh = strokes(slice(0, 200), 1.0), strokes(slice(200, 400), 0.7)
    network = Network(build="nets:build")
    return lay_out(tmp_path, old, fresh, STROKES, network=network, steps=60)


EXAMPLE = Path(__file__).parents[2] / "examples" / "shapes"
SHAPES = Task(TaskKind.DETECTION, "boxes", ("disc", "square"))


@pytest.fixture(scope="session")
def shapes_drawn(tmp_path_factory):
    """Draw the example of a detector, dark shapes and paler ones, and train its champion once."""
    drawn = runpy.run_path(str(EXAMPLE / "prepare.py"))["table"]
    old, fresh = (drawn(200, seed, ink) for seed, ink in ((0, 120), (1, 60)))
    old, fresh = (frame.with_columns(canonical(frame["boxes"])) for frame in (old, fresh))
    how = preprocessing.fit(old, infer_schema(old, SHAPES, DataSettings()), DataSettings())
    torch.manual_seed(7)
    net = build.build(Network(build="nets:build"), how.spec(SHAPES), EXAMPLE)
    learnt = old.tail(160)
    [images] = (torch.tensor(part) for part in preprocessing.inputs(learnt, how))
    labels = preprocessing.labels(learnt, SHAPES)
    for _ in range(6):
        for i in torch.randperm(len(images)).split(16):
            train_champion(net, (images[i],), labels[i], SHAPES, steps=1)
    return old, fresh, net.state_dict()


@pytest.fixture
def shapes_line(tmp_path, shapes_drawn):
    (tmp_path / "project").mkdir()
    shutil.copy(EXAMPLE / "nets.py", tmp_path / "project")
    old, fresh, state = shapes_drawn
    network = Network(build="nets:build")
    return lay_out(tmp_path, old, fresh, SHAPES, network=network, steps=0, state=state)


def planned(strategy: str) -> Plan:
    return Plan(Verdict.PASS, (), strategy, "", ())


@pytest.fixture(name="planned")
def planned_fixture():
    return planned
