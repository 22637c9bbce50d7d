from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from instar.core.data import Task, TaskKind
from instar.models.head import refit
from instar.stages.plan.evidence import Evidence, Seen, exchange
from instar.stages.plan.probe import probe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2000, 5)).astype(np.float32)


def zero_head(outputs):
    head = nn.Linear(5, outputs)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
    return head


def test_refit_agrees_with_sklearn_for_two_classes():
    labels = (X @ [1, -2, 0, 0, 0.5] + RNG.logistic(size=2000) > 0).astype(np.int64)
    got = refit(zero_head(1), torch.tensor(X), labels, TaskKind.BINARY)
    # ours: mean loss + 1e-3 |w|^2; theirs: C * summed loss + |w|^2 / 2
    theirs = LogisticRegression(C=1 / (2 * 1e-3 * 2000), tol=1e-8).fit(X, labels)
    np.testing.assert_allclose(got.weight.detach().numpy(), theirs.coef_, atol=0.01)


def test_refit_agrees_with_sklearn_for_a_number():
    values = (X @ [1, -2, 0, 0, 0.5]).astype(np.float32)
    got = refit(zero_head(1), torch.tensor(X), values, TaskKind.REGRESSION)
    theirs = Ridge(alpha=1e-3 * 2000).fit(X, values)
    np.testing.assert_allclose(got.weight.detach().numpy()[0], theirs.coef_, atol=0.005)


def test_refit_learns_several_classes_and_leaves_the_head_alone():
    labels = X[:, :3].argmax(axis=1)
    head = zero_head(3)
    got = refit(head, torch.tensor(X), labels, TaskKind.MULTICLASS)
    assert (got(torch.tensor(X)).argmax(1).numpy() == labels).mean() > 0.95
    assert not head.weight.any()


def test_exchange_is_what_a_share_of_an_error_comes_to():
    x = torch.tensor([[1.0], [2.0]])
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
    fresh, old = (Seen((x,), (x[:, 0] + off).numpy()) for off in (2.0, 0.5))
    made = Evidence(Task(TaskKind.REGRESSION, "y"), net, fresh, old, None, 0)
    assert exchange(made) == pytest.approx(0.5**2 / 2.0**2)
    assert exchange(dataclasses.replace(made, fresh=Seen((x,), x[:, 0].numpy()))) == 1.0
    assert exchange(evidence(0, 1.0)) == 1.0  # points of AUROC are points anywhere


def evidence(seed, slope):
    """A champion whose head is right for slope 1, asked about rows of another slope."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, 5)).astype(np.float32)
    labels = (slope * x[:, 0] + (1 - slope) * x[:, 1] + rng.logistic(size=600) / 3 > 0).astype(int)
    net = nn.Sequential(nn.Identity(), nn.Linear(5, 1))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[3.0, 0, 0, 0, 0]]))
        net[1].bias.zero_()
    seen = Seen((torch.tensor(x),), labels)
    return Evidence(Task(TaskKind.BINARY, "y", ("no", "yes")), net, seen, seen, None, seed)


def test_probe_interval_holds_no_gain_where_there_is_none():
    found = [probe(evidence(seed, slope=1.0), {}) for seed in range(20)]
    assert sum(one.head.gain.interval.low > 0 for one in found) <= 2
    assert sum(one.body.gain.interval.low > 0 for one in found) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_probe_finds_gain_where_the_concept_moved(seed):
    got = probe(evidence(seed, slope=0.3), {"lr": 0.3, "batch": 64})
    for reach in (got.head, got.body):
        assert reach.gain.interval.low > 0.05
        assert reach.gain.n == 300
        assert 0 <= reach.flips < 0.5


def test_probe_sees_what_only_the_layers_below_can_learn():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 4)).astype(np.float32)
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    with torch.no_grad():
        net[0].weight[:, 1:].zero_()  # the champion looks at the first column alone
    seen = Seen((torch.tensor(x),), (x[:, 1] > 0).astype(np.int64))
    asked = Evidence(Task(TaskKind.BINARY, "y", ("no", "yes")), net, seen, seen, None, 0)
    before = {k: t.clone() for k, t in net.state_dict().items()}
    got = probe(asked, {"lr": 0.02, "batch": 64})
    assert got.body.gain.value > got.head.gain.value + 0.2
    assert got.best is got.body
    assert all(torch.equal(t, before[k]) for k, t in net.state_dict().items())


def test_probe_of_a_network_without_a_head_looks_at_its_body():
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(5))

        def forward(self, x):
            return (x * self.weight).sum(dim=1, keepdim=True)

    asked = evidence(0, slope=0.0)
    bare = Evidence(asked.task, Product(), asked.fresh, asked.old, None, 0)
    got = probe(bare, {"lr": 0.3, "batch": 64})
    assert got.head is None
    assert got.best.gain.value > 0.2
