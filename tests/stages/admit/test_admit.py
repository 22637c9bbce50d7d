import numpy as np
import polars as pl
import pytest

from instar.core.codec import decode, encode
from instar.core.errors import InputError
from instar.core.finding import Verdict
from instar.core.policy import AdmitPolicy, SplitSettings
from instar.core.records import Admission, Bundle, ModelVersion, Network, Request
from instar.data.preprocessing import labels
from instar.data.snapshot import load, take
from instar.stages.admit import admit
from instar.testing.bundles import PREPROCESSING, SCHEMA, TASK, tiny_bundle
from instar.testing.tools import fake_tools


def rows(n, seed, **columns):
    """Draw rows whose answers follow the tiny bundle."""
    rng = np.random.default_rng(seed)
    x, y, red = rng.normal(size=n), rng.normal(size=n), rng.random(n) < 0.5
    p = 1 / (1 + np.exp(-(x - y + np.where(red, 0.5, -0.5))))
    return pl.DataFrame(
        {
            "x": x,
            "y": y,
            "colour": np.where(red, "red", "blue"),
            "answer": np.where(rng.random(n) < p, "yes", "no"),
        }
    ).with_columns(**columns)


@pytest.fixture
def tools(tmp_path):
    return fake_tools(tmp_path)


@pytest.fixture
def run(tools):
    """Admit fresh rows beside a champion that learnt from rows like them."""

    def admitted(fresh, *, features=("x", "y", "colour"), old=None, **policy):
        store = tools.artifacts
        old = rows(2000, 0) if old is None else old
        bundle = Bundle("v0", tiny_bundle(store), (), "model.onnx", "fp32", Verdict.PASS, ())
        champion = ModelVersion(
            name="v0",
            task=TASK,
            network=Network(family="mlp"),
            schema=SCHEMA,
            preprocessing=PREPROCESSING,
            weights="",
            bundle=bundle,
            train=(take(old, SCHEMA, store, "train"),),
            holdout=(take(rows(500, 1), SCHEMA, store, "holdout"),),
        )
        request = Request(
            update="u", model="m", reason="test", by="a", fresh=take(fresh, SCHEMA, store, "fresh"),
            task=TASK, network=champion.network, features=features, policy="", seed=0,
            champion="v0",
        )  # fmt: skip
        return admit(request, champion, policy=AdmitPolicy(**policy), tools=tools)

    return admitted


def codes(admission):
    return [
        finding.code
        for finding in admission.findings
        if finding.enforced and finding.verdict is not Verdict.PASS
    ]


def test_admit_good_rows_pass_and_are_split(run, tools):
    fresh = rows(2000, 2)
    admission = run(fresh)
    assert admission.verdict is Verdict.PASS, codes(admission)
    parts = [
        load(part, tools.artifacts)
        for part in (admission.split.train, admission.split.valid, admission.split.test)
    ]
    assert [part.height for part in parts] == pytest.approx([1400, 300, 300], abs=3)
    assert pl.concat(parts).sort("x").equals(fresh.sort("x"))
    assert admission.schema is SCHEMA
    assert (admission.quarantine, admission.quarantined, admission.cleaning) == (None, 0, ())


def test_admit_record_survives_the_ledger(run):
    admission = run(rows(2000, 2))
    assert decode(Admission, encode(admission)) == admission


def test_admit_again_is_the_same_record(run):
    fresh = rows(2000, 2)
    assert encode(run(fresh)) == encode(run(fresh))


def test_admit_refused_rows_are_listed_and_not_split(run, tools):
    fresh = rows(4000, 3)
    fresh = fresh.with_columns(
        y=pl.when(pl.col("colour") == "red").then(pl.col("y") * 1000).otherwise("y")
    )
    admission = run(fresh)
    assert admission.verdict is Verdict.FAIL
    assert admission.split is None
    assert "slice_shift:y:colour=red" in codes(admission)
    held = pl.read_parquet(tools.artifacts.path(admission.quarantine))
    wanted = fresh.with_row_index().filter(pl.col("colour") == "red")["index"]
    assert held["row"].to_list() == wanted.to_list()
    assert held["column"].unique().to_list() == ["y"]
    assert held["reason"].unique().to_list() == [
        "y where colour is red moved apart, looks like thousandths"
    ]


def test_admit_rows_held_back_are_in_no_part(run, tools):
    fresh = (
        rows(2000, 2)
        .with_row_index()
        .with_columns(colour=pl.when(pl.col("index") < 5).then(pl.lit("green")).otherwise("colour"))
    )
    admission = run(fresh.drop("index"), unknown_category="quarantine")
    assert admission.verdict is Verdict.PASS
    assert admission.quarantined == 5
    split = admission.split
    parts = [load(part, tools.artifacts) for part in (split.train, split.valid, split.test)]
    assert sum(part.height for part in parts) == 1995
    assert "green" not in pl.concat(parts)["colour"]


def test_admit_cleaning_is_on_the_record(run):
    gone = pl.Series(np.arange(2000) % 4 == 0)
    fresh = rows(2000, 2).with_columns(
        x=pl.when(gone).then(None).otherwise("x"),
        answer=pl.when(gone.shift(1, fill_value=False)).then(None).otherwise("answer"),
    )
    assert codes(run(fresh)) == ["missing:x"]
    admission = run(fresh, impute=("x",))
    assert admission.verdict is Verdict.PASS
    done = [(each.action, each.column, each.rows) for each in admission.cleaning]
    assert done == [("drop rows without a label", "answer", 500), ("fill missing values", "x", 500)]
    assert admission.cleaning[1].detail == {"with": "0"}
    assert (
        admission.split.train.rows + admission.split.valid.rows + admission.split.test.rows == 1500
    )


def test_admit_other_features_revise_the_schema(run):
    old = rows(2000, 0).with_columns(z=pl.Series(np.arange(2000.0)))
    fresh = rows(2000, 2).with_columns(z=pl.Series(np.arange(2000.0)))
    admission = run(fresh, features=("x", "z"), old=old)
    assert [column.name for column in admission.schema.features] == ["x", "z"]
    assert admission.verdict is Verdict.PASS, codes(admission)
    assert run(fresh, features=("x", "z")).verdict is Verdict.PASS  # old rows lack the column


def test_admit_too_few_rows_fail_without_a_trace_back(run):
    admission = run(rows(30, 4))
    assert codes(admission) == ["rows"]


def test_admit_split_follows_the_policy(run, tools):
    split = SplitSettings(how="group", group="x", shares=(0.5, 0.3, 0.2))
    admission = run(rows(2000, 2), split=split)
    assert admission.split.how == "group"
    assert load(admission.split.train, tools.artifacts).height == pytest.approx(1000, abs=2)
    assert labels(load(admission.split.test, tools.artifacts), TASK).shape == (400,)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda frame: frame.drop("x"), "input.missing_column"),
        (lambda frame: frame.with_columns(colour=pl.lit("green")), "input.unknown_category"),
        (lambda frame: frame.with_columns(answer=pl.lit("maybe")), "input.unknown_label"),
        (lambda frame: frame.with_columns(answer=pl.lit("yes")), "input.one_class"),
        (lambda frame: frame.with_columns(x=pl.lit(float("inf"))), "input.not_finite"),
    ],
)
def test_admit_unusable_rows_are_refused_as_a_whole(run, spoil, code):
    with pytest.raises(InputError) as caught:
        run(spoil(rows(300, 2)))
    assert caught.value.code == code


@pytest.mark.parametrize("unlabelled", ["drop", "keep"])
def test_admit_rows_without_a_label_are_dropped_or_kept_apart(run, tools, unlabelled):
    fresh = rows(1000, 5).with_columns(
        pl.when(pl.int_range(pl.len()) < 400).then(pl.col("answer")).alias("answer")
    )
    record = run(fresh, unlabelled=unlabelled)
    assert record.verdict is Verdict.PASS
    parts = (record.split.train, record.split.valid, record.split.test)
    assert sum(part.rows for part in parts) == 400
    done = {one.action: one.rows for one in record.cleaning}
    if unlabelled == "drop":
        assert record.split.unlabelled is None
        assert done["drop rows without a label"] == 600
    else:
        kept = load(record.split.unlabelled, tools.artifacts)
        assert kept["answer"].null_count() == kept.height == 600
        assert kept["x"].to_list() == fresh["x"][400:].to_list()
        assert done["keep apart rows without a label"] == 600
    assert decode(Admission, encode(record)) == record
