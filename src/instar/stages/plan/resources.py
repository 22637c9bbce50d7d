"""Whether this machine has what the chosen strategy is expected to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from instar.core.finding import Finding, Verdict
from instar.core.records import Forecast
from instar.core.tools import Machine
from instar.metering import peak_bytes
from instar.models.memory import allowed

_MOST = 0.8  # of what there is: beyond it, a forecast that errs a little is one too low


def has_card(machine: Machine) -> bool:
    """Tell whether the training will have a GPU."""
    return machine.device != "cpu" and torch.cuda.is_available()


def resources(strategy: str, expected: Sequence[Forecast], machine: Machine) -> Iterator[Finding]:
    """Report time, memory, GPU and money of the chosen strategy; it decides nothing."""
    chosen = next((one for one in expected if one.strategy == strategy), None)
    if chosen is None or not chosen.peak_bytes:
        return
    shares = {"memory": chosen.peak_bytes / (allowed(machine) + _ours(machine))}
    if chosen.gpu_s:
        shares["the GPU's memory"] = _of_card(chosen)
    most = max(shares.values())
    parts = " and ".join(f"{share:.0%} of {name}" for name, share in shares.items())
    card = f", a GPU for {chosen.gpu_s:.3g} s" if chosen.gpu_s else ""
    yield Finding(
        "resources",
        Verdict.PASS if most <= _MOST else Verdict.INCONCLUSIVE,
        f"{strategy} is expected to take {chosen.wall_s:.3g} s{card}, "
        f"{chosen.peak_bytes / 1e6:,.0f} MB ({parts} that there is), {chosen.money:.2g} in money",
        measured=most,
        limit=_MOST,
        unit="share of the memory",
        passes_if="" if most <= _MOST else "run.memory_gb, train.stream, or a smaller train.batch",
        enforced=False,
    )


def _ours(machine: Machine) -> int:
    """Count what this process has of the memory that is not free."""
    return peak_bytes() if machine.memory_bytes is None else 0


def _of_card(chosen: Forecast) -> float:
    """Say which share of a card's memory the training takes; this process's base is not there."""
    total = torch.cuda.get_device_properties(0).total_memory
    return max(0, chosen.peak_bytes - peak_bytes()) / int(total)
