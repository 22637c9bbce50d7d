from __future__ import annotations

import contextlib
import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from instar.core.data import InputSpec
from instar.core.digest import digest_bytes
from instar.core.errors import Interrupted
from instar.ledger.safedir import SafeDir
from instar.models.families.mlp import MLP
from instar.models.families.rnn import RNN
from instar.models.families.transformer import Transformer
from instar.stages.train import loop
from instar.stages.train.course import Course, Group, Pace
from instar.stages.train.keeper import Keeper
from instar.stages.train.optimizers import adamw, sgd
from instar.stages.train.rows import Rows
from instar.stages.train.run import judge
from instar.stages.train.schedules import Moment, constant, cosine, plateau
from instar.stages.train.source import batches
from instar.testing.tools import FakeClock

PLAIN = Course(
    rule=adamw,
    schedule=constant,
    loss=functional.binary_cross_entropy_with_logits,
    terms=(),
    metric=lambda out, labels: float(((out > 0) == (labels.numpy() > 0.5)).mean()),
    lr=0.01,
    batch=32,
    epochs=3,
    replay_ratio=0.0,
    weight_decay=0.01,
    patience=5,
    clip=math.inf,
    seed=3,
)


def rows(count=100, seed=0):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=random)
    return Rows((x,), (x.sum(1, keepdim=True) > 0).float())


def net(seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def fit(module, data, course, tmp_path, fresh=None, groups=None, valid=None):
    return loop.fit(
        module,
        data,
        fresh or len(data),
        valid or rows(50, seed=9),
        course,
        groups=groups or [Group(list(module.parameters()))],
        keeper=Keeper(SafeDir(tmp_path), "key", FakeClock(), math.inf),
        tell=lambda epoch: None,
    )


def by_hand(module, data, course, clip=None):
    """The same training as anybody would write it with PyTorch alone."""
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=course.lr, weight_decay=course.weight_decay
    )
    order = torch.Generator().manual_seed(course.seed)
    steps = math.ceil(len(data) / course.batch)
    norms = []
    for epoch in range(course.epochs):
        for step, i in enumerate(torch.randperm(len(data), generator=order).tensor_split(steps)):
            for group in optimizer.param_groups:
                moment = Moment(epoch + step / steps, course.epochs)
                group["lr"] = course.lr * course.schedule(moment)
            optimizer.zero_grad()
            course.loss(module(data.inputs[0][i]), data.labels[i]).backward()
            norms.append(nn.utils.clip_grad_norm_(module.parameters(), course.clip).item())
            optimizer.step()
    return norms


@pytest.mark.parametrize(
    "changes", [{}, {"schedule": cosine}, {"clip": 0.05}], ids=["plain", "cosine", "clipped"]
)
def test_fit_equals_plain_pytorch(tmp_path, changes):
    course = dataclasses.replace(PLAIN, **changes)
    ours, theirs = net(), net()
    run = fit(ours, rows(), course, tmp_path)
    norms = by_hand(theirs, rows(), course)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    assert run.norms == pytest.approx(norms, rel=1e-4)
    assert (run.steps, run.passes) == (12, 300)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RNN(InputSpec(numbers=4), hidden=5, layers=2, dropout=0.2, steps=2),
        lambda: RNN(InputSpec(numbers=4), hidden=5, cell="gru"),
        lambda: Transformer(InputSpec(numbers=4), width=8, depth=1, heads=2),
        lambda: MLP(InputSpec(numbers=4), hidden=[8], activation="prelu", norm="batch"),
    ],
    ids=["lstm", "gru", "transformer", "mlp"],
)
def test_fit_trains_every_kind_of_network_and_goes_on_bit_for_bit(tmp_path, make):
    class Pulse:
        beats = 0

        def beat(self):
            self.beats += 1

        def stopping(self):
            return self.beats == 6

    course = dataclasses.replace(PLAIN, epochs=4, lr=0.03)
    keeper = Keeper(SafeDir(tmp_path / "cut"), "key", FakeClock(), math.inf, Pulse())
    torch.manual_seed(1)
    module = make()
    torch.manual_seed(1)
    calm = make()
    whole = fit(calm, rows(), course, tmp_path / "calm")
    for net in (module, make()):
        given = (net, rows(), 100, rows(50, seed=9), course)
        groups = [Group(list(net.parameters()))]
        with contextlib.suppress(Interrupted):
            run = loop.fit(*given, groups=groups, keeper=keeper, tell=lambda epoch: None)
    assert whole.best_loss < whole.first_loss
    assert run.history == whole.history
    assert all(torch.equal(run.best[name], tensor) for name, tensor in whole.best.items())


def test_fit_learns_and_keeps_the_best_epoch(tmp_path):
    module = net()
    run = fit(module, rows(), dataclasses.replace(PLAIN, epochs=30, lr=0.05), tmp_path)
    assert run.best_loss < 0.5 * run.first_loss
    best = net()
    best.load_state_dict(run.best)
    assert judge(best, rows(50, seed=9), PLAIN)[0] == pytest.approx(run.best_loss)
    assert min(e.valid_loss for e in run.history) == pytest.approx(run.best_loss)


def test_fit_stops_when_validation_does_not_improve(tmp_path):
    wrong = rows(50, seed=9)
    wrong = dataclasses.replace(wrong, labels=1 - wrong.labels)
    course = dataclasses.replace(PLAIN, epochs=50, patience=4, lr=0.05)
    module = net()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    run = fit(module, rows(), course, tmp_path, valid=wrong)
    assert run.best_epoch <= 1
    assert run.epoch == run.best_epoch + 4
    if run.best_epoch == 0:
        assert all(torch.equal(run.best[k], v) for k, v in before.items())


def test_fit_group_with_scale_zero_stays(tmp_path):
    module = net()
    before = module[0].weight.detach().clone()
    groups = [Group(list(module[2].parameters())), Group(list(module[0].parameters()), Pace(0.0))]
    fit(module, rows(), PLAIN, tmp_path, groups=groups)
    assert torch.equal(module[0].weight, before)
    assert not torch.equal(module[2].weight, net()[2].weight)


def test_fit_ends_on_nan_and_keeps_finite_weights(tmp_path):
    broken = rows()
    broken.inputs[0][5] = math.nan
    run = fit(net(), broken, dataclasses.replace(PLAIN, rule=sgd), tmp_path)
    assert run.broken
    assert len(run.history) == 1
    assert all(tensor.isfinite().all() for tensor in run.best.values())


def test_fit_adds_terms(tmp_path):
    def pull(out, data, places):
        assert len(out) == len(places)
        return 1e3 * out.square().mean()

    module = net()
    fit(module, rows(), dataclasses.replace(PLAIN, terms=(pull,), epochs=20), tmp_path)
    assert module(rows().inputs[0]).abs().max() < 0.2


@pytest.mark.parametrize("sparse", [False, True])
def test_fit_handles_embeddings_dense_and_sparse(tmp_path, sparse):
    class Looked(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.table, self.head = nn.Embedding(5, 3, sparse=sparse), nn.Linear(3, 1)

        def forward(self, codes):
            return self.head(self.table(codes[:, 0]))

    data = Rows((torch.arange(100)[:, None] % 5,), (torch.arange(100)[:, None] % 5 > 2).float())
    module = Looked()
    run = fit(module, data, dataclasses.replace(PLAIN, lr=0.1, epochs=10), tmp_path, valid=data)
    assert run.best_loss < 0.1


class Idle(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x):
        return self.used(x)


def test_fit_leaves_parameters_without_gradient_finite(tmp_path):
    run = fit(Idle(), rows(), PLAIN, tmp_path)
    assert all(tensor.isfinite().all() for tensor in run.best.values())


def test_fit_names_the_step_and_the_rows_whose_loss_is_no_number(tmp_path):
    data = rows(100)
    data.inputs[0][37] = math.nan
    course = dataclasses.replace(PLAIN, batch=10)
    run = fit(net(), data, course, tmp_path)
    order = torch.Generator().manual_seed(course.seed)
    dealt = list(batches(order, 100, 100, course))
    (step,) = [place for place, i in enumerate(dealt, 1) if 37 in i.tolist()]
    batch = data.take(dealt[step - 1])
    spoilt = b"".join(part.numpy().tobytes() for part in (*batch.inputs, batch.labels))
    assert run.broken
    assert (run.epoch, run.broken_at) == (1, step)
    assert run.broken_batch == digest_bytes(spoilt)


def test_fit_beats_at_each_step_and_stops_with_a_checkpoint_when_told(tmp_path):
    class Pulse:
        beats = 0

        def beat(self):
            self.beats += 1

        def stopping(self):
            return self.beats == 6

    pulse = Pulse()
    keeper = Keeper(SafeDir(tmp_path), "key", FakeClock(), math.inf, pulse)
    module, data = net(), rows()
    given = (data, len(data), rows(50, seed=9), PLAIN)
    groups = [Group(list(module.parameters()))]
    with pytest.raises(Interrupted, match="after step 2 of epoch 2"):
        loop.fit(module, *given, groups=groups, keeper=keeper, tell=lambda epoch: None)
    calm = net()
    whole = fit(calm, data, PLAIN, tmp_path / "other")
    again = net(seed=5)
    groups = [Group(list(again.parameters()))]
    pulse.beats = 7
    run = loop.fit(again, *given, groups=groups, keeper=keeper, tell=lambda epoch: None)
    assert pulse.beats == 7 + 6  # two steps of the second epoch were made before
    for mine, other in zip(again.parameters(), calm.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert (run.history, run.norms, run.steps) == (whole.history, whole.norms, whole.steps)


@pytest.mark.parametrize("epochs", [1, 4])
def test_fit_with_batch_nought_takes_one_step_an_epoch_over_all_rows(tmp_path, epochs):
    course = dataclasses.replace(PLAIN, batch=0, epochs=epochs)
    ours, theirs = net(), net()
    run = fit(ours, rows(), course, tmp_path)
    by_hand(theirs, rows(), dataclasses.replace(course, batch=100))
    assert (run.steps, run.passes) == (epochs, 100 * epochs)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(("l1", "l2"), [(0.02, 0.0), (0.0, 0.05), (0.02, 0.05)])
def test_fit_penalises_as_a_loss_term_would(tmp_path, l1, l2):
    ours, theirs = net(), net()

    def penalty(out, data, places):
        parts = [l1 * p.abs().sum() + l2 * p.square().sum() / 2 for p in theirs.parameters()]
        return torch.stack(parts).sum()

    fit(ours, rows(), dataclasses.replace(PLAIN, l1=l1, l2=l2), tmp_path / "ours")
    fit(theirs, rows(), dataclasses.replace(PLAIN, terms=(penalty,)), tmp_path / "theirs")
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
        assert not torch.equal(mine, torch.zeros_like(mine))


def test_fit_measures_gradients_by_layer_once_an_epoch(tmp_path):
    course = dataclasses.replace(PLAIN, batch=100, epochs=2)
    run = fit(net(), rows(), course, tmp_path)
    assert [set(layers) for layers in run.layers] == [{"0", "2"}] * 2
    whole = [math.hypot(*layers.values()) for layers in run.layers]
    assert whole == pytest.approx(run.norms, rel=1e-5)


def test_plateau_goes_on_where_a_stopped_training_stood(tmp_path):
    wrong = rows(50, seed=9)
    wrong = dataclasses.replace(wrong, labels=1 - wrong.labels)  # the validation loss only rises
    course = dataclasses.replace(PLAIN, epochs=8, patience=9, schedule=plateau, lr=0.05)
    whole = fit(net(), rows(), course, tmp_path / "whole", valid=wrong)
    assert [e.lr for e in whole.history] == pytest.approx([0.05] * 3 + [0.005] * 3 + [0.0005] * 2)

    class Pulse:
        beats = 0

        def beat(self):
            self.beats += 1

        def stopping(self):
            return self.beats == 18  # of 32: within the fifth epoch

    keeper = Keeper(SafeDir(tmp_path / "cut"), "key", FakeClock(), math.inf, Pulse())
    for module in (net(), net(seed=5)):
        groups = [Group(list(module.parameters()))]
        given = (module, rows(), 100, wrong, course)
        try:
            run = loop.fit(*given, groups=groups, keeper=keeper, tell=lambda epoch: None)
        except Interrupted:
            continue
    assert run.history == whole.history
    assert run.layers == whole.layers
