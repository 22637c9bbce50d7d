"""19 updates in a row on Elec2: `python -m benchmarks.updating.elec2_in_a_row electricity.csv`.

The champion learns days 0 to 362; then every 28 days bring an update, and each version is scored
on the 28 days after. Nobody asks about old days any more, which the policy says: `old_served: no`.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.updating.elec2 import NETWORK, OLD, TASK, read
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
from instar.core.policy import PlanPolicy

DAYS, UPDATES = 28, 19


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="electricity.csv")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    frame = read(given.data)

    def days(first: int, last: int) -> pl.DataFrame:
        return frame.filter(pl.col("place").is_between(first, last - 1)).drop("place")

    old = days(*OLD)
    starts = [OLD[1] + DAYS * number for number in range(UPDATES + 1)]
    windows = [days(start, start + DAYS) for start in starts]
    laid = World(
        TASK, NETWORK, old, windows[0], windows[0], {"next": windows[1]}, old_valid=windows[0]
    )
    runs: dict[str, list[Chain]] = {}
    for seed in range(given.seeds):
        line = Line(laid, seed)
        for name in ("keep", "head", "incremental", "incremental-blind", "recent"):
            made = chain(line, windows, name, _accuracy)
            runs.setdefault(name, []).append(made)
        made = chain(line, windows, "auto", _accuracy, plan_policy=PlanPolicy(old_served=False))
        runs.setdefault("planner", []).append(made)
        runs.setdefault("naive fine-tuning", []).append(fine_tuned(line, windows, _accuracy))
        runs.setdefault("full retrain", []).append(retrained(line, windows, _accuracy))
    figures = chains(runs, "next window", "full retrain")
    ours = {k: statistics.fmean(v) for k, v in figures["planner"].items()}
    finish(
        figures,
        next_window_at_least_76_6=ours["next window"] >= 76.6,
        at_most_3_percent_of_the_retrains_CPU=ours["CPU %"] <= 3,
    )


def _accuracy(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float((scores.argmax(1) == labels).mean())


if __name__ == "__main__":
    main()
