from __future__ import annotations

import polars as pl
import pytest

from instar.stages.package.errors import NoRowsToMeasure
from instar.stages.package.trial import Rows


def test_rows_leave_out_those_without_a_label(case):
    gaps = case.valid.with_columns(
        benign=pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise(pl.col("benign"))
    )
    assert len(Rows.of(gaps, case.how, case.task).labels) == case.valid.height - 5


def test_rows_refuse_a_frame_without_labels(case):
    with pytest.raises(NoRowsToMeasure):
        Rows.of(case.valid.with_columns(benign=pl.lit(None, pl.String)), case.how, case.task)
