"""No drift, Elec2's old span at random: `python -m benchmarks.updating.no_drift electricity.csv`.

Fresh rows are like the old ones, so the right answer is to keep the champion; a successor that is
forced all the same should change hardly an answer.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from itertools import pairwise

import polars as pl

from benchmarks.updating.elec2 import NETWORK, OLD, TASK, read
from benchmarks.updating.line import Line, Result, World, accuracy, finish, flips, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="electricity.csv")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    frame = read(given.data).filter(pl.col("place") < OLD[1]).drop("place")
    runs: dict[str, list[tuple[Line, Result]]] = {}
    kept = 0
    for seed in range(given.seeds):
        mixed = frame.sample(fraction=1.0, shuffle=True, seed=seed)
        cuts = [0, 10_000, 12_000, 14_500, 15_200, mixed.height]
        old, held, fresh, valid, test = (mixed[a:b] for a, b in pairwise(cuts))
        line = Line(World(TASK, NETWORK, old, fresh, valid, {"test": test}, old_valid=held), seed)
        planned = line.ours()
        kept += planned.strategy == "keep"
        results = {
            "champion": Result(line.before, 0.0, 0.0),
            "full retrain": line.peer(line.retrain(pl.concat([old, fresh]), seed + 100)),
            "naive fine-tuning": line.peer(line.fine_tune(fresh, seed)),
            "planner": planned,
            **{n: line.ours(n) for n in ("head", "incremental", "incremental-stable", "warm")},
        }
        for name, result in results.items():
            runs.setdefault(name, []).append((line, result))
    columns = [("acc", partial(accuracy, "test")), ("flips", partial(flips, "test"))]
    figures = table(runs, columns, "full retrain")
    print(f"kept {kept} of {given.seeds} times")
    finish(figures, flips_at_most_0_3=statistics.fmean(figures["planner"]["flips"]) <= 0.3)


if __name__ == "__main__":
    main()
