from __future__ import annotations

from pathlib import Path

import pytest
import torch

from instar.core.data import InputSpec, TaskKind
from instar.core.records import Ensemble, Network
from instar.models.build import build
from instar.models.grow import NotGrowable
from instar.models.reshape import Change, NotReshapable, reshape

TABLE = InputSpec(numbers=3, categories=(4,), outputs=2)
PICTURE = InputSpec(image=(1, 8, 8), outputs=3)
MLP = Network(family="mlp", options={"hidden": [6, 5]})
CNN = Network(family="cnn", options={"channels": [3], "hidden": 6})
PARTS = {
    TABLE: [torch.randn(7, 3), torch.tensor([[0], [1], [2], [3], [0], [1], [2]])],
    PICTURE: [torch.randn(7, 1, 8, 8)],
}


def made(network, inputs, seed=0):
    torch.manual_seed(seed)
    return build(network, inputs, Path()).eval()


def answers(network, state, inputs):
    net = made(network, inputs, seed=1)
    net.load_state_dict(state)
    with torch.no_grad():
        return net(*PARTS[inputs])


@pytest.mark.parametrize(
    ("network", "inputs", "change", "options"),
    [
        (MLP, TABLE, Change(widen=1.5), {"hidden": [9, 8]}),
        (MLP, TABLE, Change(deepen=2), {"hidden": [6, 5, 5, 5]}),
        (MLP, TABLE, Change(dropout=0.4), {"hidden": [6, 5], "dropout": 0.4}),
        (MLP, TABLE, Change(2.0, 1, 0.3), {"hidden": [12, 10, 10], "dropout": 0.3}),
        (Network(family="mlp"), TABLE, Change(deepen=1), {"hidden": [64, 64, 64]}),
        (CNN, PICTURE, Change(widen=2.0), {"channels": [3], "hidden": 12}),
        (CNN, PICTURE, Change(deepen=1), {"channels": [3], "hidden": [6, 6]}),
        (CNN, PICTURE, Change(1.5, 1, 0.5), {"channels": [3], "hidden": [9, 9], "dropout": 0.5}),
        (Network(family="rnn", options={"hidden": 6}), TABLE, Change(dropout=0.3),
         {"hidden": 6, "dropout": 0.3}),
        (Network(family="transformer", options={"width": 8, "heads": 2}), TABLE,
         Change(dropout=0.3), {"width": 8, "heads": 2, "dropout": 0.3}),
    ],
)  # fmt: skip
def test_reshaped_network_has_the_options_and_the_answers(network, inputs, change, options):
    net = made(network, inputs)
    found = reshape(network, net, inputs, change, Path(), 0)
    assert found.network == Network(family=network.family, options=options)
    assert found.weights == sum(p.numel() for p in made(found.network, inputs).parameters())
    with torch.no_grad():
        wanted = net(*PARTS[inputs])
    torch.testing.assert_close(answers(found.network, found.state, inputs), wanted)


def test_batch_norm_statistics_go_over_with_the_weights():
    network = Network(family="mlp", options={"hidden": [6], "norm": "batch"})
    net = made(network, TABLE)
    net.train()(*PARTS[TABLE])
    net.eval()
    found = reshape(network, net, TABLE, Change(dropout=0.3), Path(), 0)
    with torch.no_grad():
        torch.testing.assert_close(answers(found.network, found.state, TABLE), net(*PARTS[TABLE]))


@pytest.mark.parametrize("combine", ["mean", "sum", "linear"])
def test_members_of_an_ensemble_change_each(combine):
    spec = Ensemble(combine, 2, TaskKind.MULTICLASS)
    network = Network(family="mlp", options={"hidden": [6]}, ensemble=spec)
    net = made(network, TABLE)
    found = reshape(network, net, TABLE, Change(widen=1.5), Path(), 0)
    assert found.network == Network(family="mlp", options={"hidden": [9]}, ensemble=spec)
    with torch.no_grad():
        torch.testing.assert_close(answers(found.network, found.state, TABLE), net(*PARTS[TABLE]))


@pytest.mark.parametrize(
    ("network", "change", "error", "needle"),
    [
        (Network(family="rnn"), Change(widen=2), NotReshapable, "mlp, cnn"),
        (Network(family="transformer"), Change(deepen=1), NotReshapable, "the family transformer"),
        (
            Network(family="mlp", options={"activation": "tanh"}),
            Change(deepen=1),
            NotGrowable,
            "Tanh",
        ),
        (
            Network(family="mlp", options={"norm": "batch"}),
            Change(widen=2),
            NotGrowable,
            "BatchNorm",
        ),
    ],
)
def test_change_that_would_move_the_answers_is_one_line(network, change, error, needle):
    with pytest.raises(error, match=needle) as caught:
        reshape(network, made(network, TABLE), TABLE, change, Path(), 0)
    assert "\n" not in str(caught.value)


def test_network_of_ones_own_is_told_what_to_do():
    net = made(MLP, TABLE)
    with pytest.raises(NotReshapable, match=r"`nets:build`.*plan\.strategy: full"):
        reshape(Network(build="nets:build"), net, TABLE, Change(widen=2), Path(), 0)
