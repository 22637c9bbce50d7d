"""Devices that a training computes on: the processor, or a card where there is one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from instar.core.errors import PolicyError
from instar.core.family import Family
from instar.core.tools import Machine
from instar.stages.train.devices.cpu import Cpu
from instar.stages.train.devices.device import Device


class NoCuda(PolicyError):
    """Refuse to compute on a card where torch sees none."""

    code = "policy.no_cuda"

    def __init__(self) -> None:
        super().__init__(
            "a GPU, as policy.run.device: cuda says",
            f"none that torch {torch.__version__} can use",
            "set it to auto or cpu, or see: instar doctor",
        )


def cuda(machine: Machine) -> Device:
    """Take the card; what knows of cards is imported only now.

    Raises:
        NoCuda: there is none that torch can use.
    """
    if not torch.cuda.is_available():
        raise NoCuda
    from instar.stages.train.devices.cuda import Cuda

    return Cuda(machine)


DEVICES: Family[Callable[[Machine], Device]] = Family("device", {"cpu": Cpu, "cuda": cuda})


def choose(machine: Machine) -> Device:
    """Take the device that the policy names; `auto` is a card where there is one.

    Raises:
        NoCuda: a card is asked for, and there is none.
    Example:
        >>> choose(Machine(device="cpu")).name
        'cpu'
    """
    name = machine.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return DEVICES[name](machine)
