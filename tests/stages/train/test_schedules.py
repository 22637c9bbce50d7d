from __future__ import annotations

import pytest
import torch

from instar.stages.train.schedules import SCHEDULES, cosine
from instar.testing.contracts.families import unknown_name


def test_cosine_follows_onecycle():
    steps = 1000
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=steps + 1, cycle_momentum=False, final_div_factor=1e9
    )
    for step in range(steps):
        assert cosine(step / steps) == pytest.approx(theirs.get_last_lr()[0], abs=3e-3)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_stay_between_nothing_and_the_peak(name):
    course = [SCHEDULES[name](step / 200) for step in range(200)]
    assert 0 < course[0] <= 1
    assert min(course) >= 0
    assert max(course) == pytest.approx(1, abs=0.01)


def test_schedules_name_what_they_know():
    unknown_name(SCHEDULES)
