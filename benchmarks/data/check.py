"""What the data gate costs on all 336,776 flights: `python -m benchmarks.data.check`.

Three things are timed, in CPU seconds of the whole process, after import: the whole gate (all
checks, the split, the snapshots written), those of its checks that look at columns one by one, and
the same column checks in pandas and SciPy. Rounds alternate; the median counts, and the spread
is that of the rounds. Reading the file is timed apart. The limit is 3 s for the whole gate.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import torch
from scipy import stats
from torch import nn

from instar.core.data import Schema, Task, TaskKind
from instar.core.policy import AdmitPolicy, DataSettings, PackagePolicy
from instar.core.records import Admission, ModelVersion, Network, Request
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data.read import read_frame
from instar.data.schema import conform, infer_schema, infer_task
from instar.data.snapshot import take
from instar.data.split import sample
from instar.stages.admit import admit, gather
from instar.stages.admit.checks import CHECKS
from instar.stages.package.sealing import seal
from instar.testing.tools import fake_tools

ROUNDS, LIMIT_S = 5, 3.0
COLUMN_CHECKS = ("missing", "outliers", "duplicates", "holdout_shared", "drift", "label_shift")
SETTINGS = DataSettings(ignore=("dep_delay",), encode="onehot")
POLICY = AdmitPolicy(impute=("pressure", "plane_age"), unknown_category="other", holdout_shared=1.0)
FLIGHTS = Path(__file__).parents[2] / "examples" / "flights" / "prepare.py"


def flights() -> pl.DataFrame:
    """Lay the flights out as the example does."""
    spec = importlib.util.spec_from_file_location("prepare", FLIGHTS)
    if spec is None or spec.loader is None:
        raise SystemExit("run from a checkout: examples/flights is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    table: pl.DataFrame = module.flights()
    return table


def champion(
    old: pl.DataFrame, held: pl.DataFrame, task: Task, schema: Schema, tools: Tools
) -> ModelVersion:
    """Train and seal a small network of January to May."""
    torch.manual_seed(0)
    how = prepare.fit(old, schema, SETTINGS)
    x = torch.tensor(prepare.inputs(old, how)[0])
    y = torch.tensor(prepare.labels(old, task), dtype=torch.float32)[:, None]
    net = nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for rows in torch.split(torch.randperm(len(y)), 256):
        loss = nn.functional.binary_cross_entropy_with_logits(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
    bundle = seal(
        net.eval(), how, schema, task, "v0", old[:500], held[:500], tools=tools,
        policy=PackagePolicy(int8="never"),
    )  # fmt: skip
    return ModelVersion(
        "v0", task, Network(family="mlp"), schema, how, "", bundle,
        (take(old, schema, tools.artifacts, "train"),),
        (take(held, schema, tools.artifacts, "holdout"),),
    )  # fmt: skip


def peer(fresh: pd.DataFrame, old: pd.DataFrame, held: pd.DataFrame, schema: Schema) -> int:
    """Ask the column checks in pandas and SciPy; return how many columns drifted."""
    names = [column.name for column in schema.features]
    fresh[names].isna().mean()
    numbers = fresh[names].select_dtypes("number")
    low, high = numbers.quantile(0.25), numbers.quantile(0.75)
    ((numbers < low - 3 * (high - low)) | (numbers > high + 3 * (high - low))).mean()
    key = [*names, "late", "scheduled"]
    fresh.duplicated(key).mean()
    fresh[key].merge(held[key].drop_duplicates(), on=key, how="inner")
    drifted = 0
    for name in names:
        now, before = fresh[name], old[name]
        if name in numbers:
            cuts = np.unique(before.quantile(np.arange(1, 10) / 10))
            bins = [-np.inf, *cuts, np.inf]
            p = pd.cut(before, bins).value_counts(normalize=True, sort=False, dropna=False)
            q = pd.cut(now, bins).value_counts(normalize=True, sort=False, dropna=False)
            stats.ks_2samp(before.dropna(), now.dropna(), method="asymp")
        else:
            p, q = before.value_counts(normalize=True), now.value_counts(normalize=True)
            table = pd.concat([before.value_counts(), now.value_counts()], axis=1).fillna(0)
            stats.chi2_contingency(table.to_numpy())
        p, q = p.align(q, fill_value=0)
        p, q = np.maximum(p.to_numpy(), 1e-5), np.maximum(q.to_numpy(), 1e-5)
        drifted += float(((q - p) * np.log(q / p)).sum()) >= POLICY.drift_effect
    fresh["late"].value_counts(normalize=True) - old["late"].value_counts(normalize=True)
    return drifted


def cpu(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


class Sides:
    """The same request, ready for each of the things that are timed."""

    def __init__(self, folder: Path) -> None:
        table = flights()
        month, known = pl.col("scheduled").dt.month(), pl.col("late").is_not_null()
        before = table.filter((month <= 5) & known)
        held = sample(before, before.height * 15 // 100, 0)
        old = before.join(held, on="flight", how="anti")
        classes = ("on time", "late")
        self.task = infer_task(old, TaskKind.BINARY, "late", "scheduled", "flight", classes)
        self.schema = infer_schema(old, self.task, SETTINGS)
        self.tools = fake_tools(folder)
        self.champion = champion(old, held, self.task, self.schema, self.tools)
        self.path = folder / "flights.parquet"
        table.write_parquet(self.path)
        self.request = self.intake()
        self.evidence = gather(self.request, self.champion, POLICY, self.tools)
        self.frames = [
            frame.to_pandas() for frame in (self.evidence.fresh, self.evidence.train, held)
        ]

    def intake(self) -> Request:
        features = tuple(column.name for column in self.schema.features)
        table = read_frame(self.path)
        frame = conform(table, self.schema, self.task, features, unknown_category="other")
        fresh = take(frame, self.schema, self.tools.artifacts, self.path.name, self.task.time)
        network = self.champion.network
        return Request(
            "u", "flights", "benchmark", "a", fresh, self.task, network, features, "", 0, "v0"
        )  # fmt: skip

    def gate(self) -> Admission:
        return admit(self.request, self.champion, policy=POLICY, tools=self.tools)

    def columns(self) -> int:
        evidence = dataclasses.replace(self.evidence)  # without what the last round kept
        found = {name: CHECKS[name](evidence) for name in COLUMN_CHECKS}
        return len(found["drift"]) - 1

    def pandas(self) -> int:
        fresh, old, held = self.frames
        return peer(fresh, old, held, self.schema)


def show(spent: dict[str, list[float]], rows: int, verdict: str) -> None:
    """Print the table, and the same figures as one JSON object."""
    print(f"{rows:,} rows, verdict {verdict}, CPU seconds after import")
    print(f"{'':<28}{'median':>8}{'min':>8}{'max':>8}")
    figures = {}
    for name, values in spent.items():
        row = (statistics.median(values), min(values), max(values))
        figures[name] = dict(
            zip(("median_s", "min_s", "max_s"), (round(v, 3) for v in row), strict=True)
        )
        print(f"{name:<28}" + "".join(f"{value:>8.2f}" for value in row))
    ratio = figures["column checks"]["median_s"] / figures["the same in pandas"]["median_s"]
    print(f"column checks against pandas: {ratio:.2f}x; limit of the whole gate: {LIMIT_S} s")
    kept = {name.replace(",", "").replace(" ", "_"): values for name, values in figures.items()}
    print(json.dumps({**kept, "ratio": round(ratio, 3), "limit_s": LIMIT_S, "rows": rows}))


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sides = Sides(Path(folder))
        verdict = sides.gate().verdict.value
        if sides.columns() != sides.pandas():
            raise SystemExit("the two sides do not find the same columns drifted")
        acts: dict[str, Callable[[], object]] = {
            "read, conform, snapshot": sides.intake,
            "whole gate": sides.gate,
            "column checks": sides.columns,
            "the same in pandas": sides.pandas,
        }
        spent: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(ROUNDS):
            for name, act in acts.items():
                spent[name].append(cpu(act))
        show(spent, sides.evidence.fresh.height, verdict)


if __name__ == "__main__":
    main()
