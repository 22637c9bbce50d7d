from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from torch import nn

from instar.bundle.session import start
from instar.core.data import InputSpec, TaskKind
from instar.core.records import Ensemble as Spec
from instar.core.records import Network
from instar.models import grow, predict, surgery, weights
from instar.models.build import build
from instar.models.ensemble import COMBINATIONS, Ensemble
from instar.stages.package.export import export
from instar.testing.contracts.families import unknown_name

OUTPUTS = {TaskKind.BINARY: 1, TaskKind.MULTICLASS: 4, TaskKind.REGRESSION: 1}
PAIRS = [
    (combine, kind)
    for combine in COMBINATIONS
    for kind in OUTPUTS
    if not (combine == "vote" and kind is TaskKind.REGRESSION)
]
SPEC = {"numbers": 3, "categories": (4,)}


def made(combine, kind, folder, members=5, outputs=None):
    torch.manual_seed(0)
    network = Network(
        family="mlp",
        options={"hidden": [6], "dropout": 0.4},
        ensemble=Spec(combine, members, kind),
    )
    return build(network, InputSpec(**SPEC, outputs=outputs or OUTPUTS[kind]), folder)


def drawn(rows=9):
    random = torch.Generator().manual_seed(1)
    return [
        3 * torch.randn(rows, 3, generator=random),
        torch.randint(0, 4, (rows, 1), generator=random),
    ]


def chances(logits, kind):
    """Say what logits (..., k) stand for, by SciPy."""
    if kind is TaskKind.REGRESSION:
        return logits
    if kind is TaskKind.MULTICLASS:
        return softmax(logits, axis=-1)
    return np.concatenate([expit(-logits), expit(logits)], axis=-1)


def test_unknown_combination_names_the_known():
    unknown_name(COMBINATIONS)


@pytest.mark.parametrize(("combine", "kind"), PAIRS)
def test_ensemble_answers_as_its_members_do_together(combine, kind, tmp_path):
    net, parts = made(combine, kind, tmp_path).eval(), drawn()
    with torch.no_grad():
        each = np.stack([member(*parts).double().numpy() for member in net.members])
        out = net(*parts).double().numpy()
    if combine == "mean":
        wanted = chances(each, kind).mean(axis=0)
    elif combine == "vote":
        votes = chances(each, kind).argmax(axis=-1)  # (members, n)
        classes = max(2, OUTPUTS[kind])
        counts = (votes[..., None] == np.arange(classes)).sum(axis=0)
        wanted = (counts + 0.5) / (len(each) + 0.5 * classes)
    else:  # the sum with the weights it begins with, and the mean of the logits
        wanted = chances(each.sum(axis=0) if combine == "sum" else each.mean(axis=0), kind)
    np.testing.assert_allclose(chances(out, kind), wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("combine", "kind"),
    [
        ("mean", TaskKind.MULTICLASS),
        ("mean", TaskKind.BINARY),
        ("vote", TaskKind.MULTICLASS),
        ("sum", TaskKind.REGRESSION),
        ("linear", TaskKind.BINARY),
    ],
)
def test_ensemble_exports_as_one_graph_with_the_same_answers(combine, kind, tmp_path):
    net, parts = made(combine, kind, tmp_path).eval(), drawn()
    graph = export(net, InputSpec(**SPEC, outputs=OUTPUTS[kind]), 20)
    session = start(graph.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    [out] = session.run(None, dict(zip(names, [part.numpy() for part in parts], strict=True)))
    np.testing.assert_allclose(out, predict.logits(net, parts), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("combine", "kind"), PAIRS)
def test_ensemble_learns_as_one_network_with_all_its_members(combine, kind, tmp_path):
    net, parts = made(combine, kind, tmp_path).train(), drawn(40)
    net(*parts).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    again = made(combine, kind, tmp_path).eval()
    weights.load(again, weights.save(net.state_dict()))
    assert torch.equal(again(*parts), net.eval()(*parts))


def test_votes_pass_a_gradient_on_while_they_serve(tmp_path):
    net, (numbers, codes) = made("vote", TaskKind.BINARY, tmp_path).eval(), drawn()
    numbers.requires_grad_()
    out = net(numbers, codes)
    [slope] = torch.autograd.grad(out.sum(), [numbers])
    assert slope.abs().sum() > 0
    with torch.no_grad():
        assert torch.equal(out, net(numbers, codes))  # to the last bit


def test_only_a_linear_combination_has_a_head(tmp_path):
    parts = drawn(40)
    net = made("linear", TaskKind.MULTICLASS, tmp_path)
    assert surgery.head(net) == "combined.layer"
    assert surgery.features(net, parts).shape == (40, 5 * 4)
    for combine in ("mean", "vote", "sum"):
        with pytest.raises(surgery.NoHead):
            surgery.head(made(combine, TaskKind.MULTICLASS, tmp_path))


def test_stacks_are_the_members_and_what_combines_them(tmp_path):
    net = made("linear", TaskKind.BINARY, tmp_path, members=2)
    layers = ("embeddings.tables.0", "body.0", "head")
    stacks = [tuple(f"members.{i}.{name}" for name in layers) for i in range(2)]
    assert surgery.stacks(net) == [*stacks, ("combined.layer",)]
    assert surgery.stacks(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))) == [("0", "1")]


@pytest.mark.parametrize("combine", list(COMBINATIONS))
def test_heads_of_all_members_grow_and_known_classes_keep_their_answers(combine, tmp_path):
    net, parts = made(combine, TaskKind.MULTICLASS, tmp_path).eval(), drawn()
    if combine == "linear":  # one that is not the mean any more
        nn.init.normal_(net.combined.layer.weight)
        nn.init.normal_(net.combined.layer.bias)
    if combine == "sum":
        net.combined.weights.copy_(torch.arange(5.0))
    grown = grow.replace_head(net, [0, 1, 2, 3, None]).eval()
    with torch.no_grad():
        for before, after in zip(net.members, grown.members, strict=True):
            torch.testing.assert_close(after(*parts)[:, :4], before(*parts))
            assert not after(*parts)[:, 4].any()
        out, old = grown(*parts), net(*parts)
    assert isinstance(grown, Ensemble)
    assert out.shape == (9, 5)
    if combine in ("linear", "sum"):
        torch.testing.assert_close(out[:, :4], old, atol=1e-5, rtol=1e-4)
    again = made(combine, TaskKind.MULTICLASS, tmp_path, outputs=5)
    weights.load(again, weights.save(grown.state_dict()))
