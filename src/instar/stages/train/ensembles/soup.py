"""Averages of weights: what both soups have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from instar.core.policy import TrainPolicy
from instar.models.strategies import Route
from instar.models.weights import State

RATES = (1.0, 0.5, 2.0)
"""In what rates members take turns, in those of the first: what makes them differ."""


def other_rate(route: Route, policy: TrainPolicy, number: int) -> tuple[Route, TrainPolicy]:
    """Let members take turns in the rate that they learn at."""
    return route, replace(policy, lr=route.recipe.lr * RATES[number % len(RATES)])


def average(states: Sequence[State]) -> State:
    """Average floating-point tensors, in float64; counters are the first's.

    Example:
        >>> average([{"w": torch.tensor([1.0])}, {"w": torch.tensor([4.0])}])["w"].item()
        2.5
    """
    return {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(tensor)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }
