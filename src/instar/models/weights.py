"""Weights as safetensors bytes: written, read, put into a network, compared.

Nothing here opens a pickle: what is not safetensors is refused by its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import nn

from instar.bundle.tensors import NotSafetensors, PickleRefused, header
from instar.core.errors import InputError
from instar.core.records import LayerChange

__all__ = [
    "NotFinite",
    "NotSafetensors",
    "PickleRefused",
    "State",
    "WeightsMismatch",
    "compare",
    "copied",
    "load",
    "read",
    "save",
]

State: TypeAlias = Mapping[str, torch.Tensor]


class WeightsMismatch(InputError):
    """Refuse weights whose names or shapes are not those of the network."""

    code = "input.weights_mismatch"

    def __init__(self, problems: Iterable[str]) -> None:
        first, *more = problems
        also = f" (and {len(more)} more)" if more else ""
        super().__init__(
            "weights with the names and shapes of the network",
            first + also,
            "use the network that these weights were trained with",
        )


class NotFinite(InputError):
    """Refuse weights that hold NaN or infinite values."""

    code = "input.weights_not_finite"

    def __init__(self, name: str) -> None:
        super().__init__(
            "finite weights", f"NaN or infinite values in {name!r}", "export the weights again"
        )


def save(weights: nn.Module | State) -> bytes:
    """Write weights as safetensors bytes: the same weights always give the same bytes."""
    state = weights.state_dict() if isinstance(weights, nn.Module) else weights
    # Tied tensors are written under each of their names; the format knows no sharing.
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in state.items()}
    return safetensors.save(plain)


def read(data: bytes) -> dict[str, torch.Tensor]:
    """Read weights from safetensors bytes, in the order of their names.

    Raises:
        PickleRefused: the bytes are a pickle or a zip archive.
        NotSafetensors: the bytes are something else, or damaged.
    """
    header(data)  # the library believes more than this does
    try:
        # The library gives tensors in an order that is another in each process.
        return dict(sorted(safetensors.load(data).items()))
    except (SafetensorError, KeyError) as error:
        raise NotSafetensors("a damaged file") from error


def load(module: nn.Module, weights: bytes | State) -> None:
    """Put weights into a network, all of them or none.

    Raises:
        PickleRefused, NotSafetensors: see `read`.
        WeightsMismatch: a tensor is missing, extra or of another shape; the first is named.
        NotFinite: a tensor holds NaN or infinite values.
    """
    state = read(weights) if isinstance(weights, bytes) else weights
    if problems := _problems(module.state_dict(), state):
        raise WeightsMismatch(problems)
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise NotFinite(name)
    module.load_state_dict(state)


def copied(net: nn.Module) -> dict[str, torch.Tensor]:
    """Copy a network's state into the machine's memory."""
    return {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}


def _problems(own: State, given: State) -> list[str]:
    shapes = [
        f"{name!r} of shape {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in given and given[name].shape != tensor.shape
    ]
    missing = [f"none for {name!r}" for name in own if name not in given]
    extra = [f"{name!r}, which the network lacks" for name in given if name not in own]
    return [*shapes, *missing, *extra]


def compare(before: State, after: State) -> tuple[LayerChange, ...]:
    """Measure how far each tensor moved; tensors without a twin of the same shape are left out.

    All is computed in float64. Of a tensor that was 0 everywhere, the relative change is infinite
    and the cosine 0 if it moved, else 0 and 1.

    Example:
        >>> [change] = compare({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([3.0, 9.0])})
        >>> change.l2, change.relative, change.largest, change.changed
        (5.0, 1.0, 5.0, 0.5)
    """
    return tuple(
        _change(name, tensor.double().flatten(), after[name].double().flatten())
        for name, tensor in before.items()
        if name in after and after[name].shape == tensor.shape and tensor.numel()
    )


def _change(name: str, before: torch.Tensor, after: torch.Tensor) -> LayerChange:
    moved = after - before
    l2, norm = moved.norm().item(), before.norm().item()
    product = norm * after.norm().item()
    return LayerChange(
        name=name,
        l2=l2,
        relative=l2 / norm if norm else (float("inf") if l2 else 0.0),
        largest=moved.abs().max().item(),
        cosine=_within(torch.dot(before, after).item() / product) if product else float(l2 == 0),
        changed=(moved != 0).double().mean().item(),
    )


def _within(cosine: float) -> float:
    """Cut off what rounding puts beyond -1 and 1; NaN stays NaN."""
    return max(min(cosine, 1.0), -1.0)
