from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from instar.core.data import Task, TaskKind
from instar.core.policy import TrainPolicy
from instar.stages.train.methods.distill import distill, divergence
from instar.stages.train.methods.part import Ground
from instar.stages.train.rows import Rows

RNG = np.random.default_rng(0)


def test_divergence_is_kullback_leibler_of_softened_classes():
    student, teacher = RNG.normal(size=(2, 5, 3)) * 2
    got = divergence(torch.tensor(student), torch.tensor(teacher), TaskKind.MULTICLASS, 2.0)
    wanted = 4 * entropy(softmax(teacher / 2, axis=1), softmax(student / 2, axis=1), axis=1)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-9)


def test_divergence_of_a_binary_logit_is_that_of_two_classes():
    student, teacher = torch.tensor(RNG.normal(size=(2, 5, 1)))
    two = [torch.cat([torch.zeros_like(z), z], dim=1) for z in (student, teacher)]
    torch.testing.assert_close(
        divergence(student, teacher, TaskKind.BINARY, 2.0),
        divergence(*two, TaskKind.MULTICLASS, 2.0),
    )


def test_term_counts_trusted_rows_only():
    data = Rows(
        (torch.zeros(4, 1),),
        torch.zeros(4, 1),
        teacher=torch.full((4, 1), 2.0),
        trust=torch.tensor([0.0, 0.0, 1.0, 1.0]),
    )
    task = Task(TaskKind.REGRESSION, "y")
    ground = Ground(task, {}, valid=data, replay=data, old_valid=None)
    term = distill(ground, TrainPolicy(distill=0.5)).term
    assert term is not None
    places = torch.arange(4)
    out = torch.tensor([[100.0], [100.0], [2.0], [5.0]])
    assert term(out, data, places).item() == pytest.approx(0.5 * (0 + 9) / 2)
    assert term(out[:2], data, places[:2]).item() == 0


def test_distill_adds_nothing_without_old_rows_or_weight():
    task = Task(TaskKind.REGRESSION, "y")
    rows = Rows((torch.zeros(1, 1),), torch.zeros(1, 1))
    assert distill(Ground(task, {}, rows, None, None), TrainPolicy()).term is None
    assert distill(Ground(task, {}, rows, rows, None), TrainPolicy(distill=0)).term is None
