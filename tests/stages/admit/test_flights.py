"""The gate on real rows: flights of New York with a champion of January to May."""

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from instar.core.data import TaskKind
from instar.core.finding import Verdict, worst
from instar.core.policy import AdmitPolicy, DataSettings
from instar.data import preprocessing
from instar.data.schema import conform, infer_schema, infer_task
from instar.data.split import sample
from instar.stages.admit import ask
from instar.stages.admit.evidence import Evidence
from instar.testing.tools import fake_tools

PREPARE = Path(__file__).parents[3] / "examples" / "flights" / "prepare.py"


@pytest.fixture(scope="module")
def flights():
    spec = importlib.util.spec_from_file_location("prepare", PREPARE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.flights()


@pytest.fixture(scope="module")
def gate(flights, tmp_path_factory):
    """Ask all checks about one month, beside a logistic regression of January to May."""
    month = pl.col("scheduled").dt.month()
    old = sample(flights.filter(month <= 5), 40_000, 0)
    held = sample(flights.filter(month <= 5), 5_000, 1).join(old, on="flight", how="anti")
    task = infer_task(old, TaskKind.BINARY, "late", "scheduled", "flight", ("on time", "late"))
    settings = DataSettings(ignore=("dep_delay",), encode="onehot")
    schema = infer_schema(old, task, settings)
    how = preprocessing.fit(old, schema, settings)
    learnt = old.filter(pl.col("late").is_not_null())
    model = LogisticRegression(max_iter=40, tol=1e-2, C=0.1).fit(
        preprocessing.inputs(learnt, how)[0], preprocessing.labels(learnt, task)
    )
    features = tuple(column.name for column in schema.features)
    policy = AdmitPolicy(impute=("pressure", "plane_age"), unknown_category="other")

    def asked(number, spoil=lambda frame: frame):
        fresh = conform(
            spoil(flights.filter(month == number)), schema, task, features, unknown_category="other"
        )
        evidence = Evidence(
            fresh=fresh, train=old, holdout=held, schema=schema, task=task, preprocessing=how,
            policy=policy,
            answers=lambda frame: model.predict_proba(preprocessing.inputs(frame, how)[0]),
        )  # fmt: skip
        return ask(evidence, fake_tools(tmp_path_factory.mktemp("gate")))

    return asked


def spoilt(frame):
    """One airport reports Celsius; the labels of one week were moved by one row."""
    celsius = (pl.col("temp") - 32) / 1.8
    week = pl.col("scheduled").dt.day().is_between(15, 21)
    return frame.with_columns(
        temp=pl.when(pl.col("origin") == "JFK").then(celsius).otherwise("temp"),
        late=pl.when(week).then(pl.col("late").shift(1)).otherwise("late"),
    )


@pytest.mark.parametrize("month", [6, pytest.param(7, marks=pytest.mark.thorough)])
def test_gate_admits_a_month_of_real_drift_and_says_what_it_saw(gate, month):
    findings, held = gate(month)
    assert worst(findings) is Verdict.PASS, [f.message for f in findings if f.enforced]
    assert not held
    seen = {finding.code: finding for finding in findings}
    assert seen["missing:pressure"].measured > 0.10
    assert not seen["missing:pressure"].enforced
    assert seen["drift:temp"].verdict is Verdict.FAIL
    assert seen["joint_drift"].measured > 0.9


def test_gate_refuses_a_spoilt_july_and_names_airport_unit_days_and_rows(gate, flights):
    findings, held = gate(7, spoilt)
    refused = {
        f.code.split(":")[0]: f for f in findings if f.enforced and f.verdict is Verdict.FAIL
    }
    assert set(refused) == {"slice_shift", "label_noise"}
    shift, noise = refused["slice_shift"], refused["label_noise"]
    assert shift.code == "slice_shift:temp:origin=JFK"
    assert "converted from Celsius to Fahrenheit" in shift.passes_if
    assert "2013-07-01 to 2013-07-31" in shift.message
    july = flights.filter(pl.col("scheduled").dt.month() == 7).with_row_index()
    there = july.filter((pl.col("origin") == "JFK") & pl.col("temp").is_not_null())
    assert held[0].rows.tolist() == there["index"].to_list()
    assert "moved down by one row" in noise.message
    week = july.filter(pl.col("scheduled").dt.day().is_between(15, 21))["index"].to_numpy()
    assert len(np.intersect1d(held[1].rows, week)) > 0.7 * len(week)
    assert len(np.setdiff1d(held[1].rows, week)) < 0.3 * len(week)
