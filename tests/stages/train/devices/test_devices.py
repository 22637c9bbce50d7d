from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from instar.core.policy import RunPolicy
from instar.core.tools import Machine
from instar.stages.train import devices
from instar.stages.train.devices import DEVICES, NoCuda, choose
from instar.stages.train.devices.cpu import Cpu
from instar.testing.contracts.families import family_files, unknown_name

GB = 10**9


def test_table_knows_every_file():
    family_files(DEVICES, devices, besides=("device", "cuda"))
    unknown_name(DEVICES)


def test_machine_is_what_the_policy_says():
    assert Machine.of(RunPolicy()) == Machine("auto", None)
    assert Machine.of(RunPolicy(device="cpu", memory_gb=0.5)) == Machine("cpu", 500_000_000)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_auto_is_the_processor_where_there_is_no_card_and_cuda_is_refused():
    assert choose(Machine()).place == torch.device("cpu")
    with pytest.raises(NoCuda, match=r"run.device: cuda"):
        choose(Machine(device="cuda"))


def test_processor_loads_nothing_of_cards():
    code = (
        "import sys, instar.stages.train as t, torch\n"
        "from instar.core.tools import Machine\n"
        "with t.devices.choose(Machine(device='cpu')).lent(): pass\n"
        "print('instar.stages.train.devices.cuda' in sys.modules, torch.cuda.is_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_processor_reckons_a_step_from_a_few_rows():
    net, seen = nn.Linear(100, 1), []

    def step(rows):
        seen.append(rows)
        net(torch.zeros(rows, 100)).sum().backward()

    one = 2 * 400  # bytes a row keeps, and as much on the way back
    assert Cpu(Machine(memory_bytes=1000 * one)).fits(step, 1000, 0)
    assert not Cpu(Machine(memory_bytes=1000 * one - 1)).fits(step, 1000, 0)
    assert not Cpu(Machine(memory_bytes=1000 * one)).fits(step, 1000, 1)
    assert seen == [8, 8, 8]


class Card:
    """Stands in for torch.cuda: a card of 10 GB, of which others hold 2."""

    def __init__(self) -> None:
        self.fraction, self.emptied, self.bf16 = [], 0, True

    def current_device(self):
        return 0

    def set_per_process_memory_fraction(self, fraction, device):
        self.fraction.append((fraction, str(device)))

    def mem_get_info(self, device):
        return 8 * GB, 10 * GB

    def memory_reserved(self, device):
        return 0

    def empty_cache(self):
        self.emptied += 1

    def synchronize(self, device):
        pass

    def is_bf16_supported(self, including_emulation):
        return self.bf16


@pytest.fixture
def card(monkeypatch):
    """The module of cards, with a fake in the place of torch.cuda and tensors on no device."""
    module = importlib.import_module("instar.stages.train.devices.cuda")
    fake = Card()
    stand_in = SimpleNamespace(
        cuda=fake,
        device=torch.device,
        uint8=torch.uint8,
        OutOfMemoryError=torch.OutOfMemoryError,
        empty=lambda size, dtype, device: torch.empty(size, dtype=dtype, device="meta"),
    )
    monkeypatch.setattr(module, "torch", stand_in)
    return module.Cuda(Machine()), fake


def test_card_is_used_to_seven_tenths_and_let_go_whatever_happens(card):
    device, fake = card
    with contextlib.suppress(ValueError), device.lent():
        assert fake.fraction == [(0.7, "cuda:0")]
        raise ValueError
    assert fake.fraction[-1] == (1.0, "cuda:0")
    assert fake.emptied == 1
    assert device.allowed() == 7 * GB


def test_card_makes_the_step_and_says_whether_it_fitted(card):
    device, fake = card
    made = []

    def step(rows):
        made.append(rows)
        if rows > 100:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")

    assert device.fits(step, 100, beside=10)
    assert not device.fits(step, 101, beside=10)
    assert made == [100, 101]
    assert fake.emptied == 2  # what a failed step left must not stand in the next one's way
    with pytest.raises(ZeroDivisionError):
        device.fits(lambda rows: rows / 0, 1, beside=0)


def test_card_holds_rows_of_half_of_what_is_allowed(card):
    device, _ = card
    assert device.holds(int(3.5 * GB))
    assert not device.holds(int(3.5 * GB) + 1)


@pytest.mark.parametrize(("has", "auto"), [(True, "bf16"), (False, "fp32")])
def test_card_computes_in_bf16_where_it_has_it(card, has, auto):
    device, fake = card
    fake.bf16 = has
    assert device.precision() == auto
    assert device.lays_channels_last()
