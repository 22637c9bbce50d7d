"""The table of what serving costs and how it behaves, beside its goals.

    python -m benchmarks.serving [--only mlp swaps ...] [--rounds 3] [--seconds 3] [--workers 2]

Load comes from `wrk`. Other servers are made ready by `python -m benchmarks.serving.peers`, or on
the way; what cannot be installed is named and left out. All rows together take under ten minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.serving import beside, cold, cost, decide, overload, swap
from benchmarks.serving.figures import Figure, Given

ROWS: dict[str, Callable[[Given], Iterator[Figure]]] = {
    "mlp": cost.mlp,
    "cnn": cost.cnn,
    "columns": cost.columns,
    "swaps": swap.swaps,
    "beside": beside.beside,
    "decide": decide.statistic,
    "back": swap.back,
    "overload": overload.overload,
    "slow": overload.slow,
    "cold": cold.cold,
}
NO_LOAD = {"decide", "cold"}


def line(figure: Figure) -> str:
    """Write a figure beside its goal."""
    value = "-" if math.isnan(figure.value) else f"{figure.value:,.4g}"
    said = {True: "met", False: "missed", None: ""}[figure.met]
    return (
        f"  {figure.name:<36}{value:>10} {figure.unit:<15}{figure.goal:<9}{said:<7} {figure.note}"
    )


def main() -> None:
    """Measure the rows that are wanted; print the table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if set(given.only) - NO_LOAD and shutil.which("wrk") is None:
        raise SystemExit("wanted wrk; got none; install the package wrk")
    how = Given(given.rounds, given.seconds, given.workers)
    busy = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {busy:.1f} before the start", flush=True)
    found: dict[str, dict[str, float | None]] = {}
    for name in given.only:
        row, began = ROWS[name], time.monotonic()
        print(f"{name}: {(row.__doc__ or '').splitlines()[0]}", flush=True)
        kept = found.setdefault(name, {})
        try:
            for figure in row(how):
                print(line(figure), flush=True)
                kept[figure.name] = None if math.isnan(figure.value) else round(figure.value, 4)
        except SystemExit as error:  # a row that fails does not take the others along
            print(f"  failed: {error}", file=sys.stderr, flush=True)
            kept["failed"] = 1
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    print(json.dumps({"load_before": busy, **found}))


if __name__ == "__main__":
    main()
