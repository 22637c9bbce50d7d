from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from instar.core.policy import TrainPolicy
from instar.data.split import sample as draw
from instar.stages.train import sample


def numbered(start, stop):
    return pl.DataFrame({"row": np.arange(start, stop)})


def drawing(frame):
    return lambda rows, seed: draw(frame, rows, seed)


def test_refresh_gives_every_row_the_same_chance():
    old, fresh, size = 300, 100, 40
    counts = np.zeros(old + fresh)
    for seed in range(600):
        kept = draw(numbered(0, old), 60, seed + 10_000)
        got = sample.refresh(kept, old, fresh, drawing(numbered(old, old + fresh)), size, seed)[
            "row"
        ]
        assert got.n_unique() == len(got) == size
        counts[got.to_numpy()] += 1
    assert counts[:old].mean() / counts[old:].mean() == pytest.approx(1, abs=0.05)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_refresh_takes_what_there_is():
    got = sample.refresh(numbered(0, 5), 1000, 100, drawing(numbered(1000, 1100)), 60, 0)
    assert got.filter(pl.col("row") < 1000).height == 5
    assert sample.refresh(numbered(0, 0), 0, 50, drawing(numbered(0, 50)), 10, 0).height == 10


def test_refresh_lets_a_column_be_missing_on_one_side():
    fresh = numbered(5, 10).with_columns(new=pl.lit(1.0))
    got = sample.refresh(numbered(0, 5), 5, 5, drawing(fresh), 10, 0)
    assert got.columns == ["row", "new"]
    assert got["new"].null_count() == 5


@pytest.mark.parametrize(("rows", "kept"), [(100, 100), (1_000, 200), (100_000, 5_000)])
def test_size_is_a_share_with_a_floor(rows, kept):
    assert sample.size(rows, TrainPolicy()) == kept
