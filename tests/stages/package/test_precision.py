from __future__ import annotations

from dataclasses import replace

import pytest

from instar.bundle.format import Contents
from instar.core.finding import Verdict
from instar.core.policy import PackagePolicy
from instar.stages.package.assemble import assemble
from instar.stages.package.precision import Compared, compare, decide, unquantisable
from instar.stages.package.trial import Rows, Trial

SEEN = Compared(
    name="auroc",
    loss=0.001,
    apart=0.002,
    row=1.0,
    batch=3.0,
    row_us=(30.0, 30.0),
    batch_us=(300.0, 100.0),
    sizes=(400_000, 100_000),
    n=1000,
)
AUTO, REQUIRE = PackagePolicy(), PackagePolicy(int8="require")


@pytest.mark.parametrize(
    ("change", "policy", "serves", "verdict"),
    [
        ({}, AUTO, True, Verdict.PASS),
        ({"row": 2.0, "batch": 1.0}, AUTO, True, Verdict.PASS),
        ({"row": 0.8}, AUTO, False, Verdict.PASS),
        ({"batch": 1.05}, AUTO, False, Verdict.PASS),
        ({"row": 0.8}, REQUIRE, True, Verdict.PASS),
        ({"loss": 0.006}, AUTO, False, Verdict.PASS),
        ({"loss": 0.006}, REQUIRE, False, Verdict.FAIL),
        ({"loss": float("nan")}, REQUIRE, False, Verdict.FAIL),
        ({"apart": 0.03}, AUTO, False, Verdict.PASS),
        ({"loss": -0.1}, AUTO, True, Verdict.PASS),
    ],
)
def test_decide_serves_int8_where_it_holds_and_pays(change, policy, serves, verdict):
    answer, finding = decide(replace(SEEN, **change), policy)
    assert (answer, finding.verdict) == (serves, verdict)
    assert finding.message.startswith("INT8 serves" if serves else "FP32 serves")
    assert bool(finding.passes_if) == (verdict is Verdict.FAIL)


def test_decide_tells_the_figures():
    _, finding = decide(SEEN, AUTO)
    assert "one row 30 against 30 µs" in finding.message
    assert "64 rows 100 against 300 µs" in finding.message
    assert [item["value"] for item in finding.picture["items"]] == [30.0, 30.0, 300.0, 100.0]


def test_unquantisable_fails_only_where_int8_is_required():
    assert unquantisable("KeyError", AUTO).verdict is Verdict.PASS
    assert unquantisable("KeyError", REQUIRE).verdict is Verdict.FAIL


def test_compare_measures_a_graph_against_itself(case, network):
    contents = Contents(case.task, case.how, case.schema, "model.onnx", "fp32", case.task.classes)
    rows = Rows.of(case.valid, case.how, case.task)
    trial = Trial.of(assemble(network, case.how, case.task), contents, rows)
    seen = compare(case.task, trial, trial, rows)
    assert (seen.loss, seen.apart, seen.n) == (0.0, 0.0, case.valid.height)
    assert 0.5 < seen.row < 2
    assert 0.5 < seen.batch < 2
    assert seen.batch_us[0] > 0
