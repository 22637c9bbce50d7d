"""Flights of 2013, month by month: `python -m benchmarks.updating.flights`.

The champion learns January to May. From June to November each month brings an update, and each
version is scored by AUROC on the month after. The planner is held against every fixed strategy;
the best of them in hindsight is known only afterwards.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.updating.line import (
    Chain,
    Line,
    World,
    chain,
    chains,
    fine_tuned,
    finish,
    retrained,
)
from instar.core.data import Task, TaskKind
from instar.core.policy import DataSettings, TrainPolicy
from instar.core.records import Network

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights" / "prepare.py"
FIXED = ("keep", "head", "incremental", "incremental-stable", "warm", "hybrid", "full")


def months() -> list[pl.DataFrame]:
    """Read the year, one table a month, rows with a label only."""
    spec = importlib.util.spec_from_file_location("prepare", EXAMPLE)
    if spec is None or spec.loader is None:
        raise SystemExit(f"wanted {EXAMPLE.name} of the example; got none")
    module = importlib.util.module_from_spec(spec)
    sys.modules["prepare"] = module
    spec.loader.exec_module(module)
    table = module.flights().drop_nulls("late").drop("flight", "dep_delay")
    month = table["scheduled"].dt.month()
    return [table.filter(month == m).drop("scheduled") for m in range(1, 13)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="of each month; 0: all")
    given = parser.parse_args()
    year = months()
    if given.rows:
        year = [month.sample(given.rows, seed=1) for month in year]
    old, windows = pl.concat(year[:5]), year[5:]
    held = old.gather_every(10)
    rest = old.with_row_index("_").filter(pl.col("_") % 10 != 0).drop("_")
    laid = World(
        task=Task(TaskKind.BINARY, "late", ("on time", "late")),
        network=Network(family="mlp", options={"hidden": [96, 96], "dropout": 0.3}),
        old=rest,
        fresh=windows[0],
        valid=windows[0],
        tests={"next": windows[1]},
        settings=DataSettings(scale="minmax"),
        old_valid=held,
        lr=4e-3,
        batch=512,
        epochs=5,
        weight_decay=0.1,
    )
    policy = TrainPolicy(weight_decay=0.1, full_epochs=5, checkpoint_s=1e9)
    runs: dict[str, list[Chain]] = {}
    for seed in range(given.seeds):
        line = Line(laid, seed)
        for name in ("auto", *FIXED):
            made = chain(line, windows, name, _auroc, train_policy=policy)
            runs.setdefault("planner" if name == "auto" else name, []).append(made)
        runs.setdefault("naive fine-tuning", []).append(fine_tuned(line, windows, _auroc))
        runs.setdefault("full retrain", []).append(retrained(line, windows, _auroc))
    figures = chains(runs, "AUROC", "full retrain")
    best = max(statistics.fmean(figures[name]["AUROC"]) for name in FIXED)
    ours = statistics.fmean(figures["planner"]["AUROC"])
    print(f"planner {ours:.2f}, best fixed strategy in hindsight {best:.2f}")
    finish(figures, within_0_3_of_the_best=ours >= best - 0.3)


def _auroc(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float(roc_auc_score(labels, scores[:, 1]))


if __name__ == "__main__":
    main()
