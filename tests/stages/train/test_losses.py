from __future__ import annotations

import pytest
import torch
from scipy.special import log_expit, log_softmax

from instar.core.data import TaskKind
from instar.core.errors import UnknownName
from instar.stages.train.losses import WrongLoss, choose


def test_auto_losses_agree_with_scipy():
    z = torch.tensor([[1.5], [-0.5]])
    bce = choose("auto", TaskKind.BINARY)(z, torch.tensor([[1.0], [0.0]]))
    assert bce.item() == pytest.approx(-(log_expit(1.5) + log_expit(0.5)) / 2, rel=1e-6)
    z3 = torch.tensor([[1.0, 2.0, 3.0]])
    ce = choose("auto", TaskKind.MULTICLASS)(z3, torch.tensor([0]))
    assert ce.item() == pytest.approx(-log_softmax(z3.numpy(), axis=1)[0, 0], rel=1e-6)


@pytest.mark.parametrize("kind", list(TaskKind))
def test_choose_refuses_a_loss_for_another_task(kind):
    for name in ("bce", "cross_entropy", "mse"):
        if choose(name, kind_of(name)) is choose("auto", kind):
            continue
        with pytest.raises(WrongLoss, match=kind.value):
            choose(name, kind)
    with pytest.raises(UnknownName, match="cross_entropy"):
        choose("crossentropy", kind)


def kind_of(name):
    return {
        "bce": TaskKind.BINARY,
        "cross_entropy": TaskKind.MULTICLASS,
        "mse": TaskKind.REGRESSION,
    }[name]
