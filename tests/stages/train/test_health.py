from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize

from instar.core.data import Task, TaskKind
from instar.core.finding import Verdict, worst
from instar.core.records import Epoch
from instar.report.pictures import PICTURES
from instar.stages.train.health import constant_loss, findings
from instar.stages.train.losses import FITTING, LOSSES
from instar.stages.train.run import Run


def run(losses, valid, norms=(1.0, 1.0, 1.0), *, layers=(), broken=False, first=1.0):
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
        layers=list(layers),
        broken=broken,
    )


def verdicts(case, train_loss=0.5):
    return {f.code: f.verdict for f in findings(case, train_loss)}


CALM = {"body.0": 1.0, "head": 2.0}


def test_findings_of_a_healthy_run_pass():
    case = run([0.9, 0.6, 0.58], [0.8, 0.55, 0.55], layers=[CALM] * 3)
    found = findings(case, 0.5, constant=0.69, auc=0.8)
    assert [f.code for f in found] == [
        *("convergence", "overfit", "underfit", "divergence", "late_jump", "gradients"),
        *("layer_gradients", "auc"),
    ]
    assert {f.verdict for f in found} == {Verdict.PASS}
    assert all(not f.passes_if for f in found)


def test_findings_refuse_a_run_that_never_improved():
    case = run([0.9, 0.6], [1.2, 1.3])
    assert worst(findings(case, 0.5)) is Verdict.FAIL
    assert verdicts(case)["convergence"] is Verdict.FAIL


@pytest.mark.parametrize(("began", "verdict"), [(2.0, Verdict.PASS), (0.9, Verdict.FAIL)])
def test_convergence_counts_what_was_gained_before_the_first_step(began, verdict):
    case = run([0.9, 0.6], [1.2, 1.3])
    case.began = began
    [found] = [one for one in findings(case, 0.5) if one.code == "convergence"]
    assert found.verdict is verdict
    assert ("from 2.0000 to 1.0000, best before the first" in found.message) == (began == 2.0)


def test_findings_refuse_a_broken_run_without_measuring_it():
    found = findings(run([math.nan], [math.nan], [math.nan], broken=True), math.nan)
    assert [f.code for f in found] == ["nan_loss", "gradients"]
    assert worst(found) is Verdict.FAIL


@pytest.mark.parametrize(
    ("code", "case", "train_loss"),
    [
        ("overfit", run([0.9, 0.2, 0.2], [0.8, 0.55, 0.5]), 0.2),
        ("underfit", run([0.69, 0.68], [0.8, 0.7]), 0.68),
        ("divergence", run([0.4, 0.9, 0.9], [0.8, 0.9, 0.9]), 0.65),
        ("late_jump", run([0.9, 0.6, 0.5], [0.8, 0.55, 0.5]), 0.5),
        ("late_jump", run([0.9, 0.5, 0.6], [0.8, 0.55, 0.6]), 0.5),
        ("gradients", run([0.9, 0.9], [0.8, 0.5], [1.0, 1.0, 500.0]), 0.5),
        ("gradients", run([0.9, 0.9], [0.8, 0.5], [1e-9, 1e-9]), 0.5),
        ("gradients", run([0.9, 0.9], [0.8, 0.5], [1.0, math.inf]), 0.5),
        ("layer_gradients", run([0.9], [0.8], layers=[{**CALM, "body.0": 1e-9}]), 0.65),
        ("layer_gradients", run([0.9], [0.8], layers=[{**CALM, "head": math.inf}]), 0.65),
        (
            "layer_gradients",
            run([0.9] * 3, [0.8] * 3, layers=[CALM, {**CALM, "head": 300.0}, CALM]),
            0.65,
        ),
    ],
)
def test_findings_report_but_do_not_refuse(code, case, train_loss):
    found = findings(case, train_loss, constant=0.7)
    [bad] = [f for f in found if f.verdict is Verdict.FAIL]
    assert bad.code == code
    assert bad.passes_if
    assert worst(found) is Verdict.PASS


def test_pictures_stay_small():
    case = run([1 / (i + 1) for i in range(1000)], [1 / (i + 1) for i in range(1000)], [1.0] * 9999)
    case.layers = [{f"layer.{i}": math.inf if i == 5 else 1.0 for i in range(200)}]
    for finding in findings(case, 0.5):
        if finding.picture:
            kind = "x" if finding.picture["kind"] == "lines" else "items"
            assert len(finding.picture[kind]) <= 100
            PICTURES[finding.picture["kind"]](finding.picture)


def test_late_jump_looks_at_the_last_quarter_only():
    early = run([0.9, 0.5, 0.4, 0.3, 0.29, 0.285, 0.28, 0.275], [0.5] * 8)
    assert verdicts(early)["late_jump"] is Verdict.PASS
    late = run([0.9, 0.5, 0.4, 0.3, 0.29, 0.285, 0.28, 0.24], [0.5] * 8)
    [finding] = [f for f in findings(late, 0.5) if f.code == "late_jump"]
    assert finding.measured == pytest.approx(1 - 0.24 / 0.28)
    assert "more train.epochs" in finding.passes_if


@pytest.mark.parametrize(
    ("metric", "verdict"),
    [(0.85, Verdict.PASS), (0.84, Verdict.FAIL), (math.nan, Verdict.INCONCLUSIVE)],
)
def test_auc_is_that_of_the_weights_that_are_kept(metric, verdict):
    better = run([0.9], [0.8])
    better.history[0] = Epoch(1, 0.9, 0.8, metric, 0.01, 1.0)
    kept = run([0.9], [1.2])
    kept.first_metric = metric
    for case in (better, kept):
        [finding] = [f for f in findings(case, 0.8, auc=0.85) if f.code == "auc"]
        assert finding.verdict is verdict
        assert not finding.enforced


TASKS = {
    TaskKind.BINARY: (
        Task(TaskKind.BINARY, "y", ("a", "b")),
        torch.tensor([[0.0], [1.0], [0.0], [0.0]]),
    ),
    TaskKind.MULTICLASS: (
        Task(TaskKind.MULTICLASS, "y", ("a", "b", "c")),
        torch.tensor([0, 1, 2, 1, 1]),
    ),
    TaskKind.REGRESSION: (Task(TaskKind.REGRESSION, "y"), torch.tensor([[0.0], [1.0], [7.0]])),
    TaskKind.MULTILABEL: (
        Task(TaskKind.MULTILABEL, classes=("a", "b"), targets=("a", "b")),
        torch.tensor([[0.0, 1.0], [torch.nan, 1.0], [1.0, 0.0], [0.0, torch.nan]]),
    ),
    TaskKind.SEGMENTATION: (
        Task(TaskKind.SEGMENTATION, "y", ("a", "b", "c")),
        torch.tensor([[[0, 1, 1], [2, 255, 1]], [[0, 0, 1], [1, 1, 255]]], dtype=torch.uint8),
    ),
}


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in FITTING.items() for name in names if kind.teachable],
)
def test_constant_loss_is_the_least_of_any_constant_answer(kind, name):
    task, labels = TASKS[kind]

    def of(answer):
        out = torch.tensor(answer, dtype=torch.float32)
        if task.dense:
            out = out[:, None, None].expand(len(labels), -1, 2, 3)
        else:
            out = out.expand(len(labels), -1)
        return LOSSES[name](out, labels).item()

    least = min(
        minimize(of, [start] * task.outputs, method="Nelder-Mead").fun for start in (0.0, 1.0)
    )
    found = constant_loss(LOSSES[name], labels, task)
    assert found == pytest.approx(least, rel=1e-3)


def test_constant_loss_of_a_detector_is_unknown():
    task = Task(TaskKind.DETECTION, "boxes", ("a",))
    assert constant_loss(LOSSES["network"], torch.zeros(3, 100, 5), task) == math.inf
