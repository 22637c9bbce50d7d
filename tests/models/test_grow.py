from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from instar.core.data import InputSpec
from instar.models import surgery, weights
from instar.models.families.cnn import CNN
from instar.models.families.mlp import MLP
from instar.models.families.transformer import Transformer
from instar.models.grow import NotGrowable, deepen, replace_head, widen

SPEC = InputSpec(numbers=5, categories=(3,), outputs=3)
X = (torch.randn(20, 5, generator=torch.Generator().manual_seed(1)), torch.arange(20)[:, None] % 3)


def mlp(**options):
    torch.manual_seed(0)
    return MLP(SPEC, **{"hidden": [6, 4], **options})


def answers(net, parts=X):
    with torch.no_grad():
        return copy.deepcopy(net).eval()(*parts)


@pytest.mark.parametrize("activation", ["relu", "prelu", "tanh", "gelu"])
@pytest.mark.parametrize(("layer", "hidden"), [("body.0", [9, 4]), ("body.2", [6, 11])])
def test_widen_answers_as_before_in_the_shape_of_the_family(layer, hidden, activation):
    net = mlp(activation=activation)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    wider = widen(net, layer, max(hidden), SPEC, seed=3)
    torch.testing.assert_close(answers(wider), answers(net), atol=1e-6, rtol=1e-5)
    fresh = mlp(hidden=hidden, activation=activation)
    weights.load(fresh, weights.save(wider.state_dict()))
    assert torch.equal(answers(fresh), answers(wider))
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())


def test_widened_copies_do_not_learn_in_step():
    wider = widen(mlp(), "body.0", 12, SPEC)
    optimizer = torch.optim.SGD(wider.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        wider(*X).square().mean().backward()
        optimizer.step()
    rows = wider.body[0].weight.detach()
    apart = torch.cdist(rows, rows) + torch.eye(12)
    assert (apart > 1e-6).sum() >= 12 * 11 - 12  # a unit that never fires does not learn at all


def test_widen_reaches_into_networks_with_other_layers():
    image = InputSpec(image=(1, 8, 8), outputs=2)
    net = CNN(image, channels=[3], hidden=5)
    parts = (torch.randn(4, 1, 8, 8),)
    wider = widen(net, "dense.0", 8, image)
    torch.testing.assert_close(answers(wider, parts), answers(net, parts), atol=1e-6, rtol=1e-5)
    tokens = Transformer(SPEC, width=8, depth=1, heads=2)
    wider = widen(tokens, "blocks.0.dense.0", 20, SPEC)
    torch.testing.assert_close(answers(wider), answers(tokens), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(("place", "hidden"), [(0, [6, 6, 4]), (1, [6, 4, 4])])
def test_deepen_answers_as_before_in_the_shape_of_the_family(place, hidden, dropout):
    net = mlp(dropout=dropout)
    layer = f"body.{place * (3 if dropout else 2)}"
    deeper = deepen(net, layer, SPEC)
    assert torch.equal(answers(deeper), answers(net))
    fresh = mlp(hidden=hidden, dropout=dropout)
    weights.load(fresh, weights.save(deeper.state_dict()))
    assert torch.equal(answers(fresh), answers(net))
    assert len(net.body) == (6 if dropout else 4)
    assert deeper.training


def test_replace_head_keeps_known_outputs_and_starts_new_ones_at_zero():
    net = mlp()
    other = replace_head(net, [2, None, 0, 1])
    before, after = answers(net), answers(other)
    torch.testing.assert_close(after[:, [2, 3, 0]], before)
    assert not after[:, 1].any()
    assert answers(replace_head(net, [1])).shape == (20, 1)
    assert net.head.out_features == 3
    fresh = MLP(InputSpec(numbers=5, categories=(3,), outputs=4), hidden=[6, 4])
    weights.load(fresh, weights.save(other.state_dict()))
    bare = replace_head(nn.Linear(3, 2, bias=False), [0, None, 1])
    assert bare.bias is None
    assert bare(torch.ones(1, 3)).shape == (1, 3)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 1)

    def forward(self, numbers):
        once = self.second(torch.relu(self.first(numbers)))
        return self.head(once * self.first(numbers).sum(1, keepdim=True))


class Twice(Residual):
    def forward(self, numbers):
        return self.head(self.second(self.first(numbers)) + self.first(numbers))


NUMBERS = InputSpec(numbers=5)


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        (lambda: widen(mlp(), "body.0", 5, SPEC), "at least the 6 units"),
        (lambda: widen(mlp(), "body.1", 9, SPEC), "out of body.0, body.2, head; got body.1"),
        (lambda: widen(mlp(), "nowhere", 9, SPEC), "out of body.0, body.2, head"),
        (lambda: widen(mlp(), "head", 9, SPEC), "nothing behind it"),
        (lambda: widen(mlp(norm="layer"), "body.0", 9, SPEC), "LayerNorm behind it"),
        (lambda: widen(Residual(), "first", 9, NUMBERS), "not in a row"),
        (lambda: widen(Twice(), "first", 9, NUMBERS), "not in a row"),
        (lambda: deepen(mlp(activation="gelu"), "body.0", SPEC), "ReLU and dropout.*GELU"),
        (lambda: deepen(mlp(), "head", SPEC), "a hidden layer of an nn.Sequential"),
        (lambda: deepen(Residual(), "first", NUMBERS), "a hidden layer of an nn.Sequential"),
        (lambda: replace_head(mlp(), [3]), "out of the 3 there are"),
        (lambda: replace_head(mlp(), [-1]), "out of the 3 there are"),
        (lambda: replace_head(mlp(), []), "out of the 3 there are"),
        (lambda: replace_head(nn.Sequential(nn.Conv2d(1, 2, 3)), [0]), "a dense layer out of none"),
    ],
)
def test_grow_refuses_what_would_change_the_answers_in_one_line(change, needle):
    with pytest.raises((NotGrowable, surgery.NoHead), match=needle) as caught:
        change()
    assert "\n" not in str(caught.value)
