"""Where steps are computed, and in which numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from instar.core.policy import TrainPolicy
from instar.stages.train.devices.cpu import Cpu
from instar.stages.train.devices.device import Device

_CASTS: Mapping[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Compute:
    """Say how a step is computed.

    `cast` is what matrix products and convolutions are computed in (the rest, weights and losses
    among it, stays in FP32); None: all in FP32. `channels_last` lays images out so.
    """

    device: Device = field(default_factory=Cpu)
    cast: torch.dtype | None = None
    channels_last: bool = False

    def forward(self, net: nn.Module) -> Callable[..., torch.Tensor]:
        """Make what asks the network for float32 logits; the network itself where nothing differs.

        Source:
            Micikevicius et al. 2018, "Mixed Precision Training".
        """
        if self.cast is None and not self.channels_last:
            return net
        kind, cast = self.device.place.type, self.cast

        def ask(*inputs: torch.Tensor) -> torch.Tensor:
            laid = [_laid(part) for part in inputs] if self.channels_last else inputs
            with torch.autocast(kind, dtype=cast, enabled=cast is not None):
                out: torch.Tensor = net(*laid)
            return out.float()

        return ask

    def scaler(self) -> torch.amp.GradScaler:
        """Make what keeps small gradients of FP16 above zero; it leaves other numbers alone."""
        return torch.amp.GradScaler(self.device.place.type, enabled=self.cast is torch.float16)


def choose(policy: TrainPolicy, device: Device) -> Compute:
    """Settle what the policy leaves to the device.

    Example:
        >>> choose(TrainPolicy(), Cpu()).cast is None
        True
        >>> choose(TrainPolicy(precision="bf16"), Cpu()).cast
        torch.bfloat16
    """
    named = device.precision() if policy.precision == "auto" else policy.precision
    last = policy.channels_last
    laid = device.lays_channels_last() if last == "auto" else last == "always"
    return Compute(device, _CASTS[named], laid)


def _laid(part: torch.Tensor) -> torch.Tensor:
    return part.contiguous(memory_format=torch.channels_last) if part.dim() == 4 else part
