"""Mixed precision and layout, on the processor, for real."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from instar.core.data import InputSpec, TaskKind
from instar.core.errors import Interrupted
from instar.core.policy import TrainPolicy
from instar.ledger.safedir import SafeDir
from instar.models.families.cnn import CNN
from instar.stages.train import fits, keeper, loop
from instar.stages.train.compute import Compute, choose
from instar.stages.train.course import Anchor, Group
from instar.stages.train.devices.cpu import Cpu
from instar.stages.train.keeper import Keeper
from instar.stages.train.methods.distill import term
from instar.stages.train.rows import Rows
from instar.stages.train.run import Run
from instar.stages.train.source import Brought, Held
from instar.testing.tools import FakeClock
from tests.stages.train.test_loop import PLAIN, rows

BF16 = Compute(cast=torch.bfloat16)
FP16 = Compute(cast=torch.float16)


class Pulse:
    """Stops the training after so many steps."""

    def __init__(self, at=math.inf):
        self.beats, self.at = 0, at

    def beat(self):
        self.beats += 1

    def stopping(self):
        return self.beats == self.at


def fit(net, data, compute, folder, pulse=None, **changes):
    course = dataclasses.replace(PLAIN, **changes)
    keeper = Keeper(SafeDir(folder), "key", FakeClock(), math.inf, pulse or Pulse())
    return loop.fit(
        net,
        data,
        len(data),
        rows(50, seed=9),
        course,
        groups=[Group(list(net.parameters()))],
        keeper=keeper,
        tell=lambda epoch: None,
        compute=compute,
    )


def wide(seed=1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1))


class Told(nn.Module):
    """Notes in which numbers its product was made."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layer, self.made = nn.Linear(4, 1), []

    def forward(self, x):
        out = self.layer(x)
        if self.training:
            self.made.append(out.dtype)
        return out


def test_auto_is_fp32_on_the_processor_and_leaves_the_network_alone():
    net = nn.Linear(1, 1)
    how = choose(TrainPolicy(), Cpu())
    assert how.forward(net) is net
    assert not how.scaler().is_enabled()


@pytest.mark.parametrize("compute", [BF16, FP16], ids=["bf16", "fp16"])
def test_products_are_made_in_half_precision_and_weights_stay_whole(tmp_path, compute):
    net = Told()
    run = fit(net, rows(), compute, tmp_path)
    assert set(net.made) == {compute.cast}
    assert {tensor.dtype for tensor in run.best.values()} == {torch.float32}


@pytest.mark.parametrize("compute", [BF16, FP16], ids=["bf16", "fp16"])
def test_half_precision_learns_as_fp32_does(tmp_path, compute):
    more = {"epochs": 30, "lr": 0.05}
    half = fit(wide(), rows(200), compute, tmp_path / "half", **more)
    whole = fit(wide(), rows(200), Compute(), tmp_path / "whole", **more)
    assert half.best_loss < 0.4 * half.first_loss
    assert half.best_loss == pytest.approx(whole.best_loss, abs=0.05)
    assert half.history != whole.history


@pytest.mark.parametrize("compute", [BF16, FP16], ids=["bf16", "fp16"])
def test_half_precision_cut_off_goes_on_bit_for_bit(tmp_path, compute):
    more = {"epochs": 6, "lr": 0.03}
    whole = fit(wide(), rows(), compute, tmp_path / "whole", **more)
    for pulse in (Pulse(10), Pulse()):
        with contextlib.suppress(Interrupted):
            run = fit(wide(), rows(), compute, tmp_path / "cut", pulse, **more)
    assert pulse.beats == 6 * 4 - 10
    assert run.history == whole.history
    assert all(torch.equal(run.best[name], tensor) for name, tensor in whole.best.items())


def test_gradients_too_large_for_fp16_leave_the_step_out_and_lower_the_scale(tmp_path):
    """The scale begins at 65,536, which no loss of this size survives."""
    scales = []

    class Watched(Compute):
        def scaler(self):
            made = Compute.scaler(self)
            step = made.step

            def watched(optimizer):
                scales.append(made.get_scale())
                return step(optimizer)

            made.step = watched
            return made

    def steep(out, labels):
        return 1e3 * nn.functional.binary_cross_entropy_with_logits(out, labels)

    data = rows(200)
    run = fit(wide(), data, Watched(cast=torch.float16), tmp_path, loss=steep, epochs=8, lr=0.02)
    assert scales[0] == 65_536
    assert scales[-1] < 65_536
    assert run.norms[0] == 0.0  # left out
    assert all(math.isfinite(norm) for norm in run.norms)
    assert not run.broken
    assert run.best_loss < 0.7 * run.first_loss


def test_images_are_laid_out_with_channels_last_and_give_the_same_training(tmp_path):
    spec = InputSpec(image=(3, 8, 8), outputs=1)
    random = torch.Generator().manual_seed(0)
    images = torch.randn(64, 3, 8, 8, generator=random)
    data = Rows((images,), (images.mean((1, 2, 3))[:, None] > 0).float())
    seen = []

    def trained(compute, folder):
        torch.manual_seed(0)
        net = CNN(spec, channels=[4], hidden=8)
        net.register_forward_pre_hook(
            lambda net, given: seen.append(
                given[0].is_contiguous(memory_format=torch.channels_last) and net.training
            )
        )
        course = dataclasses.replace(PLAIN, batch=16)
        keeper = Keeper(SafeDir(folder), "key", FakeClock(), math.inf)
        return loop.fit(
            net,
            data,
            64,
            data,
            course,
            groups=[Group(list(net.parameters()))],
            keeper=keeper,
            tell=lambda epoch: None,
            compute=compute,
        )

    last = trained(Compute(channels_last=True), tmp_path / "last")
    assert seen.count(True) == 12  # every step of three epochs
    first = trained(Compute(), tmp_path / "first")
    assert seen.count(True) == 12
    assert last.best_loss == pytest.approx(first.best_loss, rel=1e-3)


def test_policy_settles_what_the_device_would():
    how = choose(TrainPolicy(precision="fp16", channels_last="always"), Cpu())
    assert (how.cast, how.channels_last) == (torch.float16, True)
    assert not choose(TrainPolicy(channels_last="never"), Cpu()).channels_last


class Elsewhere(Cpu):
    """A device without numbers, which refuses to be mixed with the processor, as a card does."""

    name = "elsewhere"
    place = torch.device("meta")


@pytest.mark.parametrize("held", [True, False], ids=["held there", "brought batch by batch"])
def test_step_is_computed_on_the_device_and_mixes_with_no_other(tmp_path, monkeypatch, held):
    class Enough(Exception):
        pass

    class Three(Pulse):
        def beat(self):
            self.beats += 1
            if self.beats == 3:
                raise Enough

    monkeypatch.setattr(keeper, "begin", lambda *given: Run(first_loss=1.0))
    data = rows(100)
    taught = dataclasses.replace(data, teacher=torch.zeros(100, 1), trust=torch.ones(100))
    there = Elsewhere()
    source = Held(taught.to(there.place), 60)
    if not held:
        source = Brought(Held(taught, 60), there.place)
    net = wide()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net = net.to(there.place)
    course = dataclasses.replace(
        PLAIN,
        rule=lambda slots, lr, decay: torch.optim.AdamW(slots, lr=lr, weight_decay=decay),
        terms=(term(TaskKind.BINARY, 2.0),),
        anchors=(Anchor(0.1, state),),
        average=0.9,
        batch=10,
        replay_ratio=0.5,
        l1=0.1,
        l2=0.1,
        clip=1.0,
    )
    pulse = Three()
    with pytest.raises(Enough):
        loop.fit(
            net,
            source,
            60,
            data,
            course,
            groups=[Group(list(net.parameters()))],
            keeper=Keeper(SafeDir(tmp_path), "key", FakeClock(), math.inf, pulse),
            tell=lambda epoch: None,
            compute=Compute(there),
        )
    assert pulse.beats == 3


@pytest.mark.parametrize("much", [True, False])
def test_rows_are_moved_once_where_they_fit_and_else_batch_by_batch(monkeypatch, much):
    class Small(Elsewhere):
        def holds(self, size):
            return not much

    data = rows(100)
    ground = SimpleNamespace(learn=data, valid=data)
    given = SimpleNamespace(
        compute=Compute(Small()), ground=ground, rows=data, parts=(), stream=None, net=None
    )
    source = fits._near(given)
    course = dataclasses.replace(PLAIN, batch=25)
    dealt = list(source.deal(torch.Generator(), course))
    assert {str(batch.labels.device) for batch, _ in dealt} == {"meta"}
    assert len({id(batch) for batch, _ in dealt}) == (4 if much else 1)
    valid = fits._near_valid(data, given.compute)
    assert str(valid.inputs[0].device) == ("cpu" if much else "meta")
    assert str(valid.labels.device) == "cpu"
