from __future__ import annotations

import torch

from instar.core.data import Task, TaskKind
from instar.core.policy import TrainPolicy
from instar.stages.train import methods, strategies
from instar.stages.train.methods.part import Ground
from instar.stages.train.methods.replay import replay
from instar.stages.train.rows import Rows
from instar.testing.contracts.families import family_files, unknown_name


def test_every_method_and_strategy_file_is_in_its_table():
    family_files(methods.METHODS, methods, besides={"part"})
    family_files(strategies.STRATEGIES, strategies, besides={"route"})
    unknown_name(methods.METHODS)
    unknown_name(strategies.STRATEGIES)


def test_replay_mixes_old_rows_in_at_the_policys_ratio():
    rows = Rows((torch.zeros(3, 1),), torch.zeros(3, 1))
    task = Task(TaskKind.REGRESSION, "y")
    part = replay(Ground(task, {}, rows, rows, None), TrainPolicy(replay_ratio=0.5))
    assert part.rows is rows
    assert part.ratio == 0.5
    none = replay(Ground(task, {}, rows, None, None), TrainPolicy())
    assert (none.rows, none.ratio) == (None, 0.0)
