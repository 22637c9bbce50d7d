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


def test_probabilities_agree_with_scipy():
    rng = np.random.default_rng(1)
    one, three = rng.normal(size=(5, 1)).astype("f4") * 30, rng.normal(size=(5, 3)).astype("f4")
    np.testing.assert_allclose(
        probabilities(one, BINARY), np.hstack([expit(-one), expit(one)]), rtol=1e-5
    )
    np.testing.assert_allclose(probabilities(three, THREE), softmax(three, axis=1), rtol=1e-5)
    assert probabilities(one, VALUE) == pytest.approx(one)
