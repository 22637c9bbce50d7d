from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from instar.core.data import TaskKind
from instar.core.policy import TrainPolicy
from instar.stages.train.methods.distill import WEIGHT, distill, divergence, term
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


def test_term_weighs_each_row_by_its_trust_and_averages_over_the_batch():
    data = Rows(
        (torch.zeros(4, 1),),
        torch.zeros(4, 1),
        teacher=torch.full((4, 1), 2.0),
        trust=torch.tensor([0.0, 0.0, 0.5, 0.5]),
    )
    gap = term(TaskKind.REGRESSION, 2.0)
    places = torch.arange(4)
    out = torch.tensor([[100.0], [100.0], [2.0], [5.0]])
    assert gap(out, data, places).item() == pytest.approx(0.5 * 9 / 4)
    assert gap(out[:2], data, places[:2]).item() == 0
    assert gap(out, Rows(data.inputs, data.labels), places).item() == 0


def test_divergence_follows_a_teacher_of_fewer_classes_among_those():
    student, teacher = torch.randn(5, 4), torch.randn(5, 3)
    torch.testing.assert_close(
        divergence(student, teacher, TaskKind.MULTICLASS, 2.0),
        divergence(student[:, :3], teacher, TaskKind.MULTICLASS, 2.0),
    )


def test_distill_trusts_replayed_rows_as_the_policy_says(ground):
    assert distill(ground(), TrainPolicy()).recall == WEIGHT
    assert distill(ground(), TrainPolicy(distill=0.2)).recall == 0.2
