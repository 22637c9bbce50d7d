from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.core.data import TaskKind
from instar.models.head import refit


@pytest.mark.parametrize("bias", [True, False])
def test_head_without_bias_is_fitted_without_one(bias):
    torch.manual_seed(0)
    features = torch.randn(200, 4)
    head = nn.Linear(4, 1, bias=bias)
    before = head.weight.clone()
    fitted = refit(head, features, features[:, 0].numpy() * 2, TaskKind.REGRESSION)
    assert (fitted.bias is not None) == bias
    assert fitted.weight.dtype is torch.float32
    assert torch.equal(head.weight, before)
    # The pull of 1e-3 towards the head as it was takes a thousandth of the way back.
    assert fitted.weight.detach().numpy() == pytest.approx(torch.eye(4)[:1].numpy() * 2, abs=0.01)
