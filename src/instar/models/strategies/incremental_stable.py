"""Incremental-stable: like incremental, but answers that were right are held."""

from __future__ import annotations

from dataclasses import replace

from instar.models.strategies import incremental
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    methods = ("replay", "distill", "focal", "interpolate_stable")
    return replace(incremental.route(case), methods=methods)


incremental_stable = Strategy(
    "goes on from the champion and holds its right answers, at the price of some gain",
    _route,
    Usual(gain=0.5, forgetting=0.05, flips=0.15),
    (Need.SAMPLE,),
)
