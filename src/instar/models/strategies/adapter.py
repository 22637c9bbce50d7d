"""Adapter: low-rank changes beside frozen weights, merged at the end."""

from __future__ import annotations

from dataclasses import replace

from instar.models.strategies import incremental
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    return replace(
        incremental.route(case), methods=("low_rank", "replay", "distill", "interpolate")
    )


adapter = Strategy(
    "goes on from the champion by low-rank changes of its weights, which saves memory",
    _route,
    Usual(gain=0.9, forgetting=0.15, flips=0.6),
    (Need.ATTENTION, Need.SAMPLE),
)
"""
Source:
    Hu et al. 2022, "LoRA"; Biderman et al. 2024, "LoRA Learns Less and Forgets Less".
"""
