"""Which layers know the rows they learnt from better than others: a linear probe at each of them.

A probe is fitted on rows that the network never learnt from, and asked about others of them and
about rows it did learn from. It knows neither, so that where it explains more of the labels of the
second, the layer's features are what remembers them. What the inputs alone explain is taken off on
both sides: one sample may be easier than the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from instar.models.analyse import WEIGHTED, leaves
from instar.models.predict import place_of

ROWS = 512  # of each sample at most: the error of a gap is then some 0.02
_FEW = 100  # rows, below which nothing is said
_WIDTH = 128  # features a probe reads; wider layers are projected by chance
_PULL = 0.05  # of the ridge, as a share of the rows
_AT_ONCE = 256  # rows

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Gap:
    """How much more of the labels' variance is explained where they were learnt, with its error."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """Bound it from below at 95 %."""
        return self.value - 1.645 * self.error


@dataclass(frozen=True, slots=True)
class Sample:
    """A network's call arguments, each (n, ...), and what is to be explained, float (n, k)."""

    inputs: tuple[Tensor, ...]
    truth: Tensor

    def __len__(self) -> int:
        return len(self.truth)


def gaps(net: nn.Module, learnt: Sample, unseen: Sample, seed: int = 0) -> dict[str, Gap]:
    """Measure the gap of each dense, convolutional or recurrent layer, in the order of their use.

    Args:
        learnt: Rows that the network was trained on, in an order by chance.
        unseen: Rows like them that it was not; a half is for the probes.
    Returns:
        By the layer's name, in shares of the variance; nothing with fewer than 100 rows of a kind.
    Source:
        Alain and Bengio 2017, "Understanding intermediate layers using linear classifier probes".
    """
    half = min(ROWS, len(unseen) // 2)
    kept = min(ROWS, len(learnt))
    if min(half, kept) < _FEW:
        return {}
    truth = torch.cat([unseen.truth[: 2 * half], learnt.truth[:kept]]).double()  # (n, k)
    fit, new, old = slice(0, half), slice(half, 2 * half), slice(2 * half, None)
    spread = truth[fit].std(dim=0)
    truth = ((truth - truth[fit].mean(dim=0)) / spread)[:, spread > 0]
    if not truth.shape[1] or not truth.isfinite().all():
        return {}
    inputs = tuple(
        torch.cat([a[: 2 * half], b[:kept]])
        for a, b in zip(unseen.inputs, learnt.inputs, strict=True)
    )
    features = _features(net, inputs, torch.Generator().manual_seed(seed))
    errors = {name: _errors(seen, truth, fit) for name, seen in features.items()}
    base = errors.pop("")
    found = {}
    for name, missed in errors.items():
        more = base - missed  # what the layer explains beyond the inputs, (n,)
        error = math.sqrt(sum(float(more[part].var()) / len(more[part]) for part in (new, old)))
        found[name] = Gap(float(more[old].mean() - more[new].mean()), error)
    return found


def _errors(features: Tensor, truth: Tensor, fit: slice) -> Tensor:
    """Fit a ridge regression on some rows; give every row's squared error, (n,)."""
    spread = features[fit].std(dim=0)
    rows = (features - features[fit].mean(dim=0)) / spread.clamp_min(1e-6)
    rows = rows[:, spread > 1e-6]
    known = rows[fit]
    pull = _PULL * len(known) * torch.eye(rows.shape[1], dtype=rows.dtype)
    weights = torch.linalg.solve(known.T @ known + pull, known.T @ truth[fit])
    missed: Tensor = truth - rows @ weights
    return missed.square().mean(dim=1)


def _features(
    net: nn.Module, inputs: tuple[Tensor, ...], chance: torch.Generator
) -> dict[str, Tensor]:
    """Gather what each layer makes of the rows, float64 (n, width); `""` are the inputs."""
    seen: dict[str, list[Tensor]] = {}
    narrow: dict[str, Tensor] = {}

    def keep(name: str, out: Tensor) -> None:
        wide = out.flatten(1).double().cpu()
        if wide.shape[1] > _WIDTH and name not in narrow:
            narrow[name] = torch.randn(wide.shape[1], _WIDTH, generator=chance).double()
        seen.setdefault(name, []).append(wide @ narrow[name] if name in narrow else wide)

    def hook(name: str) -> Callable[..., None]:
        def after(layer: nn.Module, _: Any, out: Any) -> None:
            made = out[0] if isinstance(out, tuple) else out
            if isinstance(made, Tensor) and made.is_floating_point() and made.dim() > 1:
                keep(name, _pooled(layer, made))

        return after

    handles = [
        layer.register_forward_hook(hook(name))
        for name, layer in leaves(net)
        if isinstance(layer, (*WEIGHTED, nn.LSTM, nn.GRU))
    ]
    training, place = net.training, place_of(net)
    net.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(inputs[0]), _AT_ONCE):
                some = [part[start : start + _AT_ONCE] for part in inputs]
                keep("", torch.cat([part.flatten(1).double().cpu() for part in some], dim=1))
                net(*(part.to(place) for part in some))
    finally:
        net.train(training)
        for handle in handles:
            handle.remove()
    whole = {name: torch.cat(parts) for name, parts in seen.items()}
    # A layer that is used twice, or not row by row, has not one row for each.
    return {name: made for name, made in whole.items() if len(made) == len(inputs[0])}


def _pooled(layer: nn.Module, out: Tensor) -> Tensor:
    """Average over places or time steps: (n, width)."""
    if out.dim() == 2:
        return out
    channels = 1 if isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) else out.dim() - 1
    return out.movedim(channels, 1).flatten(2).mean(dim=2)
