from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from instar.core.data import Task, TaskKind
from instar.models.predict import logits
from instar.stages.train import losses
from instar.stages.train.methods.part import Ground
from instar.stages.train.rows import Rows

NUMBER = Task(TaskKind.REGRESSION, "y")
CLASSES = Task(TaskKind.MULTICLASS, "y", ("a", "b", "c"))
TWO = Task(TaskKind.BINARY, "y", ("no", "yes"))


@pytest.fixture
def ground():
    """Make the ground of a training: `ground(net, learn, ...)`, the net being the champion."""

    def make(net=None, learn=None, *, task=NUMBER, champion=None, valid=None, **more):
        net = net or nn.Linear(1, 1, bias=False)
        learn = learn or Rows((torch.zeros(3, 1),), torch.zeros(3, 1))
        twin = copy.deepcopy(net).eval()
        return Ground(
            task=task,
            net=net,
            champion=champion or {k: t.clone() for k, t in net.state_dict().items()},
            anew=more.pop("anew", dict),
            learn=learn,
            valid=valid or learn,
            replay=more.pop("replay", None),
            old_valid=more.pop("old_valid", None),
            loss=losses.choose("auto", task.kind),
            teach=lambda rows: replace(rows, teacher=torch.from_numpy(logits(twin, rows.inputs))),
        )

    return make
