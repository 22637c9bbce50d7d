"""Hybrid: the key layers, those on top, learn at the full rate, the rest at a tenth."""

from __future__ import annotations

from dataclasses import replace

from instar.models.strategies import incremental
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual


def _route(case: Case) -> Route:
    methods: tuple[str, ...] = ("replay", "distill", "discriminate", "interpolate")
    if case.classes_added:  # the champion has no weights for them to interpolate with
        methods = ("replay_balanced", "logits", "discriminate")
    return replace(incremental.route(case), methods=methods, settings={"top": 2, "below": 0.1})


hybrid = Strategy(
    "goes on from the champion; the head and the block below it learn fully, the rest slowly",
    _route,
    Usual(gain=1.0, forgetting=0.4, flips=0.7),
    (Need.SAMPLE,),
)
