from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.core.data import Task, TaskKind
from instar.core.finding import Interval
from instar.core.policy import PlanPolicy
from instar.stages.plan.evidence import Evidence, Seen
from instar.stages.plan.findings import findings
from instar.stages.plan.layers import Looked
from instar.stages.plan.rule import Choice
from instar.stats.bootstrap import Estimate

SEEN = Seen((torch.zeros(2, 1),), torch.zeros(2).numpy())


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (Task(TaskKind.BINARY, "y", ("no", "yes")), "is 785.00 points of auroc worse on fresh"),
        (Task(TaskKind.REGRESSION, "y"), "mse on fresh rows is 785 % worse than on its holdout"),
    ],
    ids=["points", "a share"],
)
def test_drop_is_told_in_the_unit_of_the_metric(task, told):
    seen = Evidence(task, nn.Linear(1, 1), SEEN, SEEN, SEEN, 0)
    fallen = Estimate(7.85, Interval(7.0, 8.7), 0.4, 100)
    found = findings(Choice("warm", ""), None, fallen, Looked(), seen, (), PlanPolicy())
    assert told in {finding.code: finding.message for finding in found}["drop"]
