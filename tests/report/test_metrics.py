from __future__ import annotations

from dataclasses import replace

from instar.report.metrics import metrics
from tests.report.stories import good, refused


def test_metrics_put_fresh_and_old_rows_side_by_side() -> None:
    laid = metrics(good())
    assert laid.data == ("fresh", "old")
    assert laid.rows[0] == ("auroc", ((0.7412, 0.7564), (0.7388, 0.7381)))
    assert ("accuracy", ((0.7401, 0.7478), (None, None))) in laid.rows


def test_metrics_begin_with_the_primary_one() -> None:
    judged = replace(good().validation, candidate={"accuracy": 0.7, "auroc": 0.8})
    assert metrics(replace(good(), validation=judged)).rows[0][0] == "auroc"


def test_metrics_unmeasured_are_none() -> None:
    assert metrics(refused()) is None
