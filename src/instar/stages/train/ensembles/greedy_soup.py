"""Greedy soup: the mean of the weights of those members that lower its validation loss."""

from __future__ import annotations

import math

from instar.models.weights import State
from instar.stages.train.ensembles.kind import Joined, Kind, Team
from instar.stages.train.ensembles.soup import average, other_rate


def chosen(team: Team) -> Joined:
    """Go through the members from the best on, and keep each with which the mean is no worse."""
    values = [team.value(state) for state in team.states]
    order = sorted(range(len(values)), key=lambda place: (values[place], place))
    taken: list[State] = []
    least = math.inf
    for place in order:
        value = team.value(average([*taken, team.states[place]]))
        if value <= least or not taken:
            taken.append(team.states[place])
            least = value
    return Joined(average(taken), least, f"{len(taken)} of {len(values)} are in it")


greedy_soup = Kind("become the mean of the best weights", "", chosen, settings=other_rate)
"""
Source:
    Wortsman et al. 2022, "Model soups", recipe 1.
"""
