from __future__ import annotations

import math

import pytest

from instar.core.finding import Verdict, worst
from instar.core.records import Epoch
from instar.stages.train.health import findings
from instar.stages.train.loop import Run


def run(losses, valid, norms=(1.0, 1.0, 1.0), *, broken=False, first=1.0):
    history = [
        Epoch(i + 1, a, b, 0.8, 0.01, 1.0)
        for i, (a, b) in enumerate(zip(losses, valid, strict=True))
    ]
    best = min(range(len(valid)), key=lambda i: valid[i])
    improved = valid[best] < first
    return Run(
        epoch=len(history),
        best_epoch=best + 1 if improved else 0,
        best_loss=valid[best] if improved else first,
        first_loss=first,
        history=history,
        norms=list(norms),
        broken=broken,
    )


def verdicts(case, train_loss=0.5):
    return {f.code: f.verdict for f in findings(case, train_loss)}


def test_findings_of_a_healthy_run_pass():
    found = findings(run([0.9, 0.6], [0.8, 0.55]), 0.5)
    assert {f.verdict for f in found} == {Verdict.PASS}
    assert all(not f.passes_if for f in found)


def test_findings_refuse_a_run_that_never_improved():
    case = run([0.9, 0.6], [1.2, 1.3])
    assert worst(findings(case, 0.5)) is Verdict.FAIL
    assert verdicts(case)["convergence"] is Verdict.FAIL


def test_findings_refuse_a_broken_run_without_measuring_it():
    found = findings(run([math.nan], [math.nan], [math.nan], broken=True), math.nan)
    assert [f.code for f in found] == ["nan_loss", "gradients"]
    assert worst(found) is Verdict.FAIL


@pytest.mark.parametrize(
    ("code", "case", "train_loss"),
    [
        ("overfit", run([0.9, 0.2], [0.8, 0.55]), 0.2),
        ("divergence", run([0.4, 0.9], [0.8, 0.9]), 0.8),
        ("gradients", run([0.9, 0.6], [0.8, 0.5], [1.0, 1.0, 500.0]), 0.5),
        ("gradients", run([0.9, 0.6], [0.8, 0.5], [1e-9, 1e-9]), 0.5),
        ("gradients", run([0.9, 0.6], [0.8, 0.5], [1.0, math.inf]), 0.5),
    ],
)
def test_findings_report_but_do_not_refuse(code, case, train_loss):
    found = findings(case, train_loss)
    [bad] = [f for f in found if f.verdict is Verdict.FAIL]
    assert bad.code == code
    assert bad.passes_if
    assert worst(found) is Verdict.PASS


def test_pictures_stay_small():
    case = run([1 / (i + 1) for i in range(1000)], [1 / (i + 1) for i in range(1000)], [1.0] * 9999)
    for finding in findings(case, 0.5):
        if finding.picture:
            assert len(finding.picture["x"]) <= 100
