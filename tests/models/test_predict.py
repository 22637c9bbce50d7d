from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch import nn

from instar.core.data import Task, TaskKind
from instar.models.predict import logits, probabilities

BINARY = Task(TaskKind.BINARY, "y", ("no", "yes"))
THREE = Task(TaskKind.MULTICLASS, "y", ("a", "b", "c"))
VALUE = Task(TaskKind.REGRESSION, "y")


def test_logits_in_batches_equal_one_pass_in_evaluation_mode():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    x = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    whole = net.eval()(torch.tensor(x)).detach().numpy()
    net.train()
    np.testing.assert_allclose(logits(net, (x,), batch=3), whole, rtol=1e-5)
    assert net.training
    assert logits(net, (x[:0],)).shape == (0, 2)


class Tight(nn.Module):
    """Has memory for so many rows."""

    def __init__(self, most):
        super().__init__()
        self.layer, self.most, self.asked = nn.Linear(3, 2), most, []

    def forward(self, x):
        self.asked.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.layer(x)


def test_logits_asks_fewer_rows_at_a_time_where_memory_runs_out():
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    net = Tight(20)
    roomy = Tight(50)
    roomy.load_state_dict(net.state_dict())
    np.testing.assert_allclose(logits(net, (x,), batch=64), logits(roomy, (x,)), rtol=1e-5)
    assert net.asked == [50, 32, 16, 16, 16, 2]
    with pytest.raises(torch.OutOfMemoryError):
        logits(Tight(0), (x,))


def test_probabilities_agree_with_scipy():
    rng = np.random.default_rng(1)
    one, three = rng.normal(size=(5, 1)).astype("f4") * 30, rng.normal(size=(5, 3)).astype("f4")
    np.testing.assert_allclose(
        probabilities(one, BINARY), np.hstack([expit(-one), expit(one)]), rtol=1e-5
    )
    np.testing.assert_allclose(probabilities(three, THREE), softmax(three, axis=1), rtol=1e-5)
    assert probabilities(one, VALUE) == pytest.approx(one)
