"""What the data gate makes of several labels a row."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from instar.core.data import Task, TaskKind
from instar.core.finding import Verdict
from instar.core.policy import AdmitPolicy, DataSettings
from instar.data import preprocessing
from instar.data.schema import complete_task, conform, infer_schema
from instar.stages.admit.checks.balance import balance
from instar.stages.admit.checks.label_noise import label_noise
from instar.stages.admit.checks.label_shift import label_shift
from instar.stages.admit.checks.rows import rows
from instar.stages.admit.evidence import Evidence, Held

WANTED = Task(TaskKind.MULTILABEL, targets=("rain", "wind"))


def table(seed, n=4000, windy=0.5):
    """Draw rain that follows x and wind that follows y; a tenth of each label is not known."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(2, n))
    rain = (random.random(n) < 1 / (1 + np.exp(-3 * x))).astype(float)
    wind = (random.random(n) < windy * 2 / (1 + np.exp(-3 * y))).astype(float)
    for labels in (rain, wind):
        labels[random.random(n) < 0.1] = np.nan
    frame = pl.DataFrame({"x": x, "y": y, "rain": rain, "wind": wind})
    return frame.with_columns(pl.col("rain", "wind").fill_nan(None))


def answers(frame):
    return 1 / (1 + np.exp(-3 * frame.select("x", "y").to_numpy()))


@pytest.fixture(name="evidence")
def _evidence():
    old = table(0)
    task = complete_task(old, WANTED)
    schema = infer_schema(old, task, DataSettings())
    how = preprocessing.fit(old, schema, DataSettings())

    def make(fresh):
        return Evidence(
            fresh=conform(fresh, schema, task, ("x", "y")),
            train=old,
            holdout=table(9, 500),
            schema=schema,
            task=task,
            preprocessing=how,
            policy=AdmitPolicy(),
            answers=answers,
        )

    return make


def test_sound_rows_pass(evidence):
    seen = evidence(table(1))
    found = [*balance(seen), *label_shift(seen), *label_noise(seen), *rows(seen)]
    assert {finding.code: finding.verdict for finding in found} == {
        "balance": Verdict.PASS,
        "label_shift": Verdict.PASS,
        "label_noise": Verdict.PASS,
        "rows": Verdict.PASS,
    }


def test_row_counts_as_labelled_where_any_label_is_known(evidence):
    fresh = table(1)
    blank = fresh.with_columns(
        pl.when(pl.int_range(pl.len()) < 1000).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("rain", "wind")
    )
    [found] = rows(evidence(blank))
    none = fresh.select(pl.all_horizontal(pl.col("rain", "wind").is_null())).to_series()
    assert found.measured == 3000 - none[1000:].sum()


def test_shares_are_those_of_each_label(evidence):
    fresh = table(1, windy=0.2)
    [shift] = label_shift(evidence(fresh))
    assert shift.verdict is Verdict.FAIL
    assert shift.message.startswith("'wind' was")
    assert shift.measured == pytest.approx(table(0)["wind"].mean() - fresh["wind"].mean())
    [lopsided] = balance(evidence(fresh))
    assert lopsided.verdict is Verdict.FAIL
    assert lopsided.message.startswith("wind holds")
    assert lopsided.measured == pytest.approx(1 - 2 * fresh["wind"].mean())


def test_labels_that_a_join_has_moved_are_named(evidence):
    fresh = table(1)
    moved = fresh.with_columns(
        pl.when(pl.int_range(pl.len()).is_between(1000, 1999))
        .then(pl.col(name).shift(-1))
        .otherwise(pl.col(name))
        .alias(name)
        for name in ("rain", "wind")
    )
    found = label_noise(evidence(moved))
    assert found[0].verdict is Verdict.FAIL
    assert "moved" in found[0].message
    [held] = [part for part in found if isinstance(part, Held)]
    assert np.isin(np.arange(1200, 1800), held.rows).all()
    assert held.column == "rain, wind"
