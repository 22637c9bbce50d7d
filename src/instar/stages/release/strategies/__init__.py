"""How traffic moves: a strategy turns the policy into the steps of this release."""

from instar.core.family import Family
from instar.stages.release.strategies.ab import ab
from instar.stages.release.strategies.all_at_once import all_at_once
from instar.stages.release.strategies.blue_green import blue_green
from instar.stages.release.strategies.canary import Strategy, canary
from instar.stages.release.strategies.shadow import shadow

STRATEGIES: Family[Strategy] = Family(
    "release_strategy",
    {
        "canary": canary,
        "ab": ab,
        "blue_green": blue_green,
        "all_at_once": all_at_once,
        "shadow": shadow,
    },
)
