"""Checks of what is in each column: missing, outliers, format, rows, balance."""

import numpy as np
import polars as pl

from instar.core.data import TaskKind
from instar.core.finding import Verdict
from instar.stages.admit.checks import CHECKS
from instar.stages.admit.evidence import Held


def holes(frame, column, share):
    gone = pl.Series(np.arange(frame.height) < share * frame.height)
    return frame.with_columns(pl.when(gone).then(None).otherwise(pl.col(column)).alias(column))


def test_missing_over_the_limit_fails_and_names_column_and_rows(evidence, table):
    [finding] = CHECKS["missing"](evidence(holes(table(seed=1), "temp", 0.11)))
    assert finding.code == "missing:temp"
    assert (finding.verdict, finding.enforced) == (Verdict.FAIL, True)
    assert (finding.measured, finding.limit) == (0.11, 0.05)
    assert "11 %" in finding.message
    assert "330 of 3,000" in finding.message
    assert "at most 150 rows" in finding.passes_if


def test_missing_imputed_column_is_reported_only(evidence, table):
    fresh = holes(table(seed=1), "temp", 0.11)
    headline, finding = CHECKS["missing"](evidence(fresh, impute=("temp",)))
    assert headline.verdict is Verdict.PASS
    assert (finding.verdict, finding.enforced) == (Verdict.FAIL, False)


def test_missing_at_the_limit_passes(evidence, table):
    [finding] = CHECKS["missing"](evidence(holes(table(seed=1), "site", 0.05)))
    assert (finding.verdict, finding.measured) == (Verdict.PASS, 0.05)


def test_outliers_agree_with_fences_by_hand(evidence, table):
    fresh = (
        table(seed=1)
        .with_row_index()
        .with_columns(temp=pl.when(pl.col("index") % 10 == 0).then(1000.0).otherwise("temp"))
    )
    [finding] = CHECKS["outliers"](evidence(fresh.drop("index")))
    values = fresh["temp"].to_numpy()
    low, high = np.percentile(values, [25, 75])
    far = (values < low - 3 * (high - low)) | (values > high + 3 * (high - low))
    assert finding.code == "outliers:temp"
    assert finding.measured == far.mean()
    assert finding.verdict is Verdict.FAIL


def test_outliers_number_that_is_nearly_always_zero_is_fenced_by_training(evidence, table):
    def rain(seed):
        drawn = np.random.default_rng(seed).random(3000)
        return pl.Series(np.where(drawn < 0.1, drawn, 0.0))

    old, fresh = table(rain=rain(0)), table(seed=1, rain=rain(1))
    [finding] = CHECKS["outliers"](evidence(fresh, old=old))
    assert finding.verdict is Verdict.PASS


def test_outliers_long_tail_that_was_there_before_is_reported_only(evidence, table):
    def tail(seed):
        return pl.Series(np.random.default_rng(seed).standard_cauchy(3000))

    old, fresh = table(temp=tail(0)), table(seed=1, temp=tail(1))
    headline, finding = CHECKS["outliers"](evidence(fresh, old=old))
    assert headline.verdict is Verdict.PASS
    assert (finding.code, finding.verdict) == ("outliers:temp", Verdict.FAIL)
    assert not finding.enforced
    assert CHECKS["outliers"](evidence(fresh))[0].enforced


def test_format_unknown_category_is_reported_or_held_back(evidence, table):
    fresh = (
        table(seed=1)
        .with_row_index()
        .with_columns(site=pl.when(pl.col("index") < 2).then(pl.lit("east")).otherwise("site"))
    )
    fresh = fresh.drop("index")
    _, finding = CHECKS["format"](evidence(fresh, unknown_category="other"))
    assert finding.code == "format:site"
    assert "east (2)" in finding.message
    assert not finding.enforced
    _, _, held = CHECKS["format"](evidence(fresh, unknown_category="quarantine"))
    assert isinstance(held, Held)
    assert held.rows.tolist() == [0, 1]


def test_format_new_class_is_reported(evidence, table):
    fresh = (
        table(seed=1)
        .with_row_index()
        .with_columns(late=pl.when(pl.col("index") == 7).then(pl.lit("never")).otherwise("late"))
    )
    _, finding = CHECKS["format"](evidence(fresh.drop("index"), new_classes="admit"))
    assert finding.code == "format:late"
    assert "never" in finding.message


def test_rows_too_few_labelled_rows_fail(evidence, table):
    fresh = holes(table(300, seed=1), "late", 0.5)
    [finding] = CHECKS["rows"](evidence(fresh))
    assert (finding.verdict, finding.measured) == (Verdict.FAIL, 150)
    assert finding.passes_if == "50 more labelled rows"


def test_rows_without_label_are_refused_where_the_policy_says_so(evidence, table):
    fresh = holes(table(seed=1), "late", 0.1)
    assert CHECKS["rows"](evidence(fresh))[0].verdict is Verdict.PASS
    _, finding = CHECKS["rows"](evidence(fresh, unlabelled="refuse"))
    assert (finding.verdict, finding.measured) == (Verdict.FAIL, 300)


def test_balance_is_reported_and_enforced_on_request(evidence, table):
    fresh = (
        table(seed=1).with_row_index().filter((pl.col("late") == "yes") | (pl.col("index") < 300))
    )
    [finding] = CHECKS["balance"](evidence(fresh.drop("index")))
    shares = (fresh["late"] == "yes").mean()
    assert (finding.verdict, finding.enforced) == (Verdict.FAIL, False)
    assert abs(finding.measured - (2 * shares - 1)) < 1e-12
    assert CHECKS["balance"](evidence(fresh.drop("index"), balance_enforced=True))[0].enforced


def test_balance_of_a_regression_is_no_question(evidence, table):
    old, fresh = (table(seed=n).with_columns(late=pl.col("load") * 2) for n in (0, 1))
    assert CHECKS["balance"](evidence(fresh, old=old, kind=TaskKind.REGRESSION)) == []
