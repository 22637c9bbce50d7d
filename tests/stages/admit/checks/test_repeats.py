"""Checks of rows that stand twice: in the file, and in the champion's holdout."""

import polars as pl

from instar.core.finding import Verdict
from instar.stages.admit.checks import CHECKS
from instar.stages.admit.evidence import Held


def test_duplicates_over_the_limit_fail_and_name_rows(evidence, table):
    fresh = table(1000, seed=1)
    [finding] = CHECKS["duplicates"](evidence(pl.concat([fresh, fresh[:50]])))
    assert (finding.verdict, finding.measured) == (Verdict.FAIL, 50 / 1050)
    assert "rows 1000, 1001" in finding.message


def test_duplicates_same_reading_at_another_time_is_another(evidence, table):
    fresh = table(1000, seed=1)
    later = fresh.with_columns(pl.col("when") + pl.duration(days=400))
    twice = pl.concat([fresh, later])
    assert CHECKS["duplicates"](evidence(twice))[0].measured == 0
    assert CHECKS["duplicates"](evidence(twice, time=None))[0].measured == 0.5


def test_holdout_shared_rows_fail_and_are_held_back(evidence, table):
    fresh = table(1000, seed=1)
    finding, held = CHECKS["holdout_shared"](evidence(fresh, holdout=fresh[100:110]))
    assert (finding.verdict, finding.measured) == (Verdict.FAIL, 0.01)
    assert isinstance(held, Held)
    assert held.rows.tolist() == list(range(100, 110))


def test_holdout_shared_within_the_limit_are_held_back_all_the_same(evidence, table):
    fresh = table(1000, seed=1)
    given = evidence(fresh, holdout=fresh[100:110], holdout_shared=0.02)
    finding, held = CHECKS["holdout_shared"](given)
    assert finding.verdict is Verdict.PASS
    assert len(held.rows) == 10


def test_holdout_shared_by_chance_is_measured_on_training_rows(evidence, table):
    coarse = [
        table(1000, seed=n).with_columns((pl.col("temp", "load") / 10).round()) for n in (0, 1, 2)
    ]
    old, fresh, holdout = coarse
    finding, held = CHECKS["holdout_shared"](evidence(fresh, old=old, holdout=holdout, time=None))
    assert finding.measured > 0.9
    assert finding.limit > 0.9
    assert len(held.rows) == round(finding.measured * 1000)
