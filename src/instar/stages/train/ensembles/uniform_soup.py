"""Uniform soup: the mean of the weights of all members, which begin at the champion's."""

from __future__ import annotations

from instar.stages.train.ensembles.kind import Joined, Kind, Team
from instar.stages.train.ensembles.soup import average, other_rate


def stirred(team: Team) -> Joined:
    """Average them all."""
    state = average(team.states)
    return Joined(state, team.value(state))


uniform_soup = Kind("become the mean of their weights", "", stirred, settings=other_rate)
"""
Source:
    Wortsman et al. 2022, "Model soups", section 2.
"""
