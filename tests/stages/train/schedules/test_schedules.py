from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler

from instar.stages.train import schedules
from instar.stages.train.schedules import SCHEDULES, Moment, cosine, cosine_restarts, plateau
from instar.testing.contracts.families import family_files, unknown_name

EPOCHS = 40
VALID = [0.9, 0.8, 0.8, 0.8, 0.8, 0.7, 0.71, 0.6, 0.6, 0.6, 0.59999, 0.6, 0.6, 0.6, 0.5]


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)


def test_table_holds_every_file():
    family_files(SCHEDULES, schedules, besides={"moment"})


def test_schedules_name_what_they_know():
    unknown_name(SCHEDULES)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_stay_between_nothing_and_the_peak(name):
    course = [SCHEDULES[name](Moment(i / 10, EPOCHS, losses=VALID)) for i in range(10 * EPOCHS)]
    assert 0 < course[0] <= 1
    assert min(course) >= 0
    assert max(course) == pytest.approx(0.001 if name == "plateau" else 1, rel=0.02)


def test_cosine_follows_onecycle():
    steps = 1000
    theirs = lr_scheduler.OneCycleLR(
        optimizer(), 1.0, total_steps=steps + 1, cycle_momentum=False, final_div_factor=1e9
    )
    for step in range(steps):
        share = cosine(Moment(step / 25, EPOCHS))
        assert share == pytest.approx(theirs.get_last_lr()[0], abs=3e-3)
        theirs.optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("cosine_restarts", lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 5)),
        ("exponential", lambda opt: lr_scheduler.ExponentialLR(opt, 0.01 ** (1 / EPOCHS))),
        ("step", lambda opt: lr_scheduler.MultiStepLR(opt, [20, 30], 0.1)),
        ("warmup", lambda opt: lr_scheduler.LinearLR(opt, 0.04, 1.0, 12)),
        ("constant", lambda opt: lr_scheduler.LambdaLR(opt, lambda _: 1.0)),
    ],
)
def test_schedule_follows_pytorchs_own(name, theirs):
    scheduler = theirs(optimizer())
    for epoch in range(EPOCHS):
        share = SCHEDULES[name](Moment(epoch, EPOCHS))
        assert share == pytest.approx(scheduler.get_last_lr()[0], abs=1e-6)
        scheduler.optimizer.step()
        scheduler.step()


def test_plateau_follows_pytorchs_own():
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer(), factor=0.1, patience=2)
    for count, loss in enumerate(VALID):
        scheduler.step(loss)
        share = plateau(Moment(count, EPOCHS, losses=VALID[: count + 1]))
        assert share == pytest.approx(scheduler.get_last_lr()[0])
    assert share == pytest.approx(0.001)


def test_linear_rises_then_falls_to_nothing():
    course = [SCHEDULES["linear"](Moment(at, EPOCHS)) for at in range(EPOCHS + 1)]
    assert course[:13] == sorted(course[:13])
    assert course[12:] == sorted(course[12:], reverse=True)
    assert (course[12], course[-1]) == (pytest.approx(1), 0)


def test_restarts_keep_the_policys_period():
    assert cosine_restarts(Moment(3, EPOCHS, period=3)) == 1
    assert cosine_restarts(Moment(3, EPOCHS, period=6)) == pytest.approx(0.5)
