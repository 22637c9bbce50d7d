from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from instar.core.data import TaskKind
from instar.core.policy import AdmitPolicy, DataSettings
from instar.data import preprocessing
from instar.data.schema import infer_schema, infer_task
from instar.stages.admit.evidence import Evidence

SITES = ["north", "south", "west"]


def table(rows=3000, seed=0, **columns):
    """Draw measurements at three sites; `late` follows `load`, `temp` has to do with the site."""
    rng = np.random.default_rng(seed)
    site = rng.integers(0, 3, rows)
    load = rng.normal(0, 1, rows)
    late = rng.random(rows) < 1 / (1 + np.exp(-1.5 * load))
    start = datetime.fromisoformat("2020-01-01") + timedelta(days=365 * seed)
    frame = pl.DataFrame(
        {
            "when": [start + timedelta(minutes=20 * n) for n in range(rows)],
            "temp": 60 + 4.0 * site + rng.normal(0, 8, rows),
            "load": load,
            "site": [SITES[n] for n in site],
            "late": np.where(late, "yes", "no"),
        }
    )
    return frame.with_columns(**columns)


def answers(frame):
    p = 1 / (1 + np.exp(-1.5 * frame["load"].fill_null(0.0).to_numpy()))
    return np.column_stack([1 - p, p])


OLD = table(seed=0)


@pytest.fixture(name="table")
def _table():
    return table


@pytest.fixture
def evidence():
    """Hold fresh rows against rows of the same kind, under a policy."""

    def make(fresh=None, *, old=OLD, holdout=None, time="when", kind=TaskKind.BINARY, **policy):
        fresh = table(seed=1) if fresh is None else fresh
        task = infer_task(old, kind, "late", time)
        settings = DataSettings() if time else DataSettings(ignore=("when",))
        schema = infer_schema(old, task, settings)
        return Evidence(
            fresh=fresh,
            train=old,
            holdout=table(500, seed=2) if holdout is None else holdout,
            schema=schema,
            task=task,
            preprocessing=preprocessing.fit(old, schema, settings),
            policy=AdmitPolicy(**policy),
            answers=answers,
        )

    return make
