from __future__ import annotations

import numpy as np
import pytest
import torch

from instar.core.data import Task, TaskKind
from instar.core.finding import Verdict
from instar.core.records import Layer
from instar.models.overfitting import Gap
from instar.stages.plan.evidence import Evidence, Seen
from instar.stages.plan.layers import Looked, findings, look


def found(layers=(), gaps=None):
    return {one.code: one for one in findings(Looked(tuple(layers), gaps or {}))}


def layer(name, time_us=1.0, flops=10.0, dead=None):
    return Layer(name, "Linear", 10, flops, time_us, dead)


def test_the_slowest_layer_is_named_with_its_part_of_the_work():
    got = found([layer("a", 3.0, 10.0), layer("b", 1.0, 30.0)])["slow_layers"]
    assert got.verdict is Verdict.INCONCLUSIVE
    assert got.measured == pytest.approx(0.75)
    assert "a takes 75 % of a row's 4 microseconds and 25 % of its FLOPs" in got.message
    assert not got.enforced
    even = found([layer("a"), layer("b"), layer("c")])["slow_layers"]
    assert even.verdict is Verdict.PASS
    assert "slow_layers" not in found([layer("a", 0.0)])


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [
        (Gap(0.05, 0.01), Verdict.PASS),
        (Gap(0.12, 0.05), Verdict.INCONCLUSIVE),
        (Gap(0.3, 0.05), Verdict.FAIL),
    ],
)
def test_overfitting_is_told_by_the_worst_layer_and_its_error(gap, verdict):
    got = found([layer("a")], {"a": Gap(0.01, 0.01), "b": gap})["overfitted_layers"]
    assert got.verdict is verdict
    assert got.message.startswith("b explains")
    assert bool(got.passes_if) is (verdict is not Verdict.PASS)
    assert not got.enforced


def test_other_overfitted_layers_are_named():
    got = found([layer("a")], {"a": Gap(0.2, 0.01), "b": Gap(0.3, 0.01)})["overfitted_layers"]
    assert got.message.endswith("; also a")


def evidence(kind, labels, *, holdout=True):
    classes = ("0", "1", "2") if kind is TaskKind.MULTICLASS else ()
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    seen = Seen((torch.randn(300, 4),), labels)
    return Evidence(Task(kind, "y", classes), net, seen, seen, seen if holdout else None, 0)


def test_layers_hold_their_gap_where_there_is_a_holdout():
    labels = np.arange(300) % 3
    known = look(evidence(TaskKind.MULTICLASS, labels))
    assert [one.overfit is None for one in known.layers] == [False, True, False]
    assert {one.name: one.overfit for one in known.layers if one.overfit is not None} == {
        name: gap.value for name, gap in known.gaps.items()
    }
    assert look(evidence(TaskKind.MULTICLASS, labels, holdout=False)).gaps == {}


def test_a_row_with_more_than_a_row_of_labels_has_no_gap():
    masks = np.zeros((300, 5, 5), np.int64)
    assert look(evidence(TaskKind.SEGMENTATION, masks)).gaps == {}
