import numpy as np
import polars as pl
import pytest

from instar.core.data import TaskKind
from instar.core.finding import Verdict
from instar.stages.admit.checks.label_noise import label_noise


def relabelled(frame, block, change):
    labels = frame["late"].to_numpy().astype(object)
    labels[block] = change(labels[block])
    return frame.with_columns(late=pl.Series(labels.tolist(), dtype=pl.String))


def test_label_noise_moved_labels_fail_with_rows_days_and_direction(evidence, table):
    fresh = relabelled(table(6000, seed=1), slice(2000, 3500), lambda y: np.roll(y, 1))
    finding, held = label_noise(evidence(fresh))
    first, last = (int(n) for n in finding.code.split(":")[1].split("-"))
    assert first == pytest.approx(2000, abs=150)
    assert last == pytest.approx(3500, abs=150)
    assert (finding.verdict, finding.enforced) == (Verdict.FAIL, True)
    assert "down by one row" in finding.message
    assert "2021-01-2" in finding.message
    assert finding.interval.low > finding.limit
    assert held.rows.tolist() == list(range(first, last + 1))


def test_label_noise_swapped_labels_fail(evidence, table):
    fresh = relabelled(
        table(6000, seed=1),
        slice(2000, 3500),
        lambda y: np.where(y == "yes", "no", "yes").astype(object),
    )
    finding, _ = label_noise(evidence(fresh))
    assert finding.verdict is Verdict.FAIL
    assert "scores" in finding.message


@pytest.mark.parametrize("drift", ["weaker", "reversed"])
def test_label_noise_concept_drift_is_no_alarm(evidence, table, drift):
    fresh = table(6000, seed=1)
    load = fresh["load"].to_numpy()
    slope = {"weaker": 0.5, "reversed": -1.5}[drift]
    late = np.random.default_rng(0).random(6000) < 1 / (1 + np.exp(-slope * load))
    fresh = fresh.with_columns(late=pl.Series(np.where(late, "yes", "no")))
    assert all(finding.verdict is not Verdict.FAIL for finding in label_noise(evidence(fresh)))


def test_label_noise_few_clean_files_alarm(evidence, table):
    alarms = [
        label_noise(evidence(table(1000, seed=n)))[0].verdict is Verdict.FAIL for n in range(1, 13)
    ]
    assert sum(alarms) <= 1


def test_label_noise_labels_that_have_to_do_with_nothing_are_inconclusive(evidence, table):
    fresh = relabelled(table(seed=1), slice(None), np.random.default_rng(0).permutation)
    [finding] = label_noise(evidence(fresh))
    assert (finding.verdict, finding.enforced) == (Verdict.INCONCLUSIVE, True)
    assert "admit.label_noise at 1" in finding.passes_if
    [finding] = label_noise(evidence(fresh, label_noise=1.0))  # no share is too much
    assert (finding.verdict, finding.enforced) == (Verdict.INCONCLUSIVE, False)


def test_label_noise_rows_sorted_by_label_are_not_held_against_them(evidence, table):
    [finding] = label_noise(evidence(table(seed=1).sort("late")))
    assert (finding.verdict, finding.enforced) == (Verdict.INCONCLUSIVE, False)


def test_label_noise_long_file_is_judged_in_runs(evidence, table):
    fresh = relabelled(table(150_000, seed=1), slice(60_000, 90_000), lambda y: np.roll(y, -2))
    given = evidence(fresh)
    finding, held = label_noise(given)
    assert finding.verdict is Verdict.FAIL
    assert "up by 2 rows" in finding.message
    assert held.rows[0] == pytest.approx(60_000, abs=1500)
    assert held.rows[-1] == pytest.approx(90_000, abs=1500)


def test_label_noise_regression_targets_are_judged_too(evidence, table):
    def numbers(frame):
        return frame.with_columns(
            late=pl.col("load") + pl.Series(np.random.default_rng(0).normal(size=frame.height))
        )

    old, fresh = numbers(table()), numbers(table(4000, seed=1))
    moved = fresh["late"].to_numpy().copy()
    moved[1000:2500] = np.roll(moved[1000:2500], 1)
    given = evidence(fresh.with_columns(late=moved), old=old, kind=TaskKind.REGRESSION)
    object.__setattr__(given, "answers", lambda frame: frame["load"].to_numpy()[:, None])
    assert label_noise(given)[0].verdict is Verdict.FAIL
