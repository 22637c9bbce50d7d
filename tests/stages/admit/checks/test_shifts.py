"""Checks of distributions: drift, joint drift, label shift."""

import numpy as np
import polars as pl

from instar.core.data import TaskKind
from instar.core.finding import Verdict
from instar.stages.admit.checks import CHECKS


def test_drift_names_the_column_and_is_reported_only(evidence, table):
    fresh = table(seed=1).with_columns(pl.col("temp") + 20)
    headline, finding = CHECKS["drift"](evidence(fresh))
    assert finding.code == "drift:temp"
    assert (finding.verdict, finding.enforced) == (Verdict.FAIL, False)
    assert finding.measured > 0.25
    assert headline.picture["items"][0]["label"] == "temp"
    assert finding.picture["kind"] == "histograms"
    assert all(each.enforced for each in CHECKS["drift"](evidence(fresh, drift_enforced=True)))


def test_drift_of_a_category_says_which_value(evidence, table):
    fresh = table(seed=1).filter((pl.col("site") != "west") | (pl.col("load") > 1))
    codes = [finding.code for finding in CHECKS["drift"](evidence(fresh))]
    assert "drift:site" in codes


def test_drift_more_missing_values_are_drift(evidence, table):
    gone = pl.Series(np.random.default_rng(0).random(3000) < 0.5)
    fresh = table(seed=1).with_columns(temp=pl.when(gone).then(None).otherwise("temp"))
    assert CHECKS["drift"](evidence(fresh))[1].code == "drift:temp"


def test_drift_false_alarms_are_rare_even_on_few_rows(evidence, table):
    alarms = [len(CHECKS["drift"](evidence(table(60, seed=n)))) > 1 for n in range(1, 60)]
    assert np.mean(alarms) <= 0.05


def test_joint_drift_finds_what_no_column_shows(evidence, table):
    fresh = table(seed=1).with_columns(temp=62 + 8 * pl.col("load"))
    given = evidence(fresh)
    [finding] = CHECKS["joint_drift"](given)
    assert (finding.verdict, finding.enforced) == (Verdict.FAIL, False)
    assert finding.interval.low < finding.measured < finding.interval.high


def test_label_shift_agrees_with_counting(evidence, table):
    fresh = table(seed=1).filter((pl.col("late") == "yes") | (pl.col("load") > 0))
    given = evidence(fresh)
    [finding] = CHECKS["label_shift"](given)
    share = [(frame["late"] == "yes").mean() for frame in (given.train, fresh)]
    assert abs(finding.measured - abs(share[1] - share[0])) < 1e-12
    assert finding.verdict is Verdict.FAIL


def test_label_shift_of_a_regression_looks_at_fifths(evidence, table):
    old, fresh = (table(seed=n).with_columns(late=pl.col("load") * 2) for n in (0, 1))
    same = CHECKS["label_shift"](evidence(fresh, old=old, kind=TaskKind.REGRESSION))[0]
    moved = fresh.with_columns(pl.col("late") + 3)
    other = CHECKS["label_shift"](evidence(moved, old=old, kind=TaskKind.REGRESSION))[0]
    assert (same.verdict, other.verdict) == (Verdict.PASS, Verdict.FAIL)
