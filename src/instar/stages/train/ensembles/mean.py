"""The mean of what members answer, and their votes: nothing is fitted, so nothing is stored."""

from __future__ import annotations

from instar.core.records import Ensemble
from instar.models.ensemble import COMBINATIONS
from instar.stages.train.ensembles.kind import Join, Joined, Team


def joining(combine: str) -> Join:
    """Make what puts members together by a combination without weights."""

    def join(team: Team) -> Joined:
        task = team.base.start.ground.task
        spec = Ensemble(combine, len(team.ended), task.kind)
        asked = COMBINATIONS[combine](spec, task.outputs).eval()
        judge = team.judge
        return Joined({}, judge.of([asked(team.answers(side.inputs)) for side in judge.sides]))

    return join
