"""Strategies: the ways from a champion to its successor.

The plan chooses one by evidence, the training carries it out. To add one, copy `warm.py` and add
a line. What each is usually worth is a rounded prior, from measurements where there are some
(docs/stages/plan.md); the planner corrects it from past updates.
"""

from __future__ import annotations

from instar.core.family import Family
from instar.models.strategies.adapt_stats import adapt_stats
from instar.models.strategies.adapter import adapter
from instar.models.strategies.full import full
from instar.models.strategies.grow import grow
from instar.models.strategies.head import head
from instar.models.strategies.hybrid import hybrid
from instar.models.strategies.incremental import incremental
from instar.models.strategies.incremental_blind import incremental_blind
from instar.models.strategies.incremental_stable import incremental_stable
from instar.models.strategies.keep import keep
from instar.models.strategies.recent import recent
from instar.models.strategies.route import Case, Need, Route, Strategy, Usual
from instar.models.strategies.transfer import transfer
from instar.models.strategies.warm import warm

__all__ = ["STRATEGIES", "Case", "Need", "Route", "Strategy", "Usual"]

STRATEGIES: Family[Strategy] = Family(
    "strategy",
    {
        "keep": keep,
        "head": head,
        "incremental": incremental,
        "incremental-stable": incremental_stable,
        "incremental-blind": incremental_blind,
        "recent": recent,
        "warm": warm,
        "hybrid": hybrid,
        "adapt-stats": adapt_stats,
        "adapter": adapter,
        "transfer": transfer,
        "grow": grow,
        "full": full,
    },
)
