from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.core.tools import Machine
from instar.models.memory import allowed, free, kept


def test_kept_counts_what_a_step_keeps_in_proportion_to_its_rows():
    net = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 1))
    sizes = []
    for rows in (8, 80):
        with kept() as count:
            net(torch.randn(rows, 20)).sum()
        sizes.append(count())
    assert sizes == [8 * 4 * (20 + 50), 80 * 4 * (20 + 50)]


def test_free_is_what_a_container_leaves(tmp_path):
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert free(tmp_path) == 2_000_000
    (tmp_path / "memory.stat").write_text("file 900000\ninactive_file 600000\nanon 100000\n")
    assert free(tmp_path) == 2_600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free(tmp_path) > 2_000_000


def test_allowed_is_the_policys_or_a_share_of_what_is_free():
    assert allowed(Machine(memory_bytes=5)) == 5
    assert allowed(Machine()) == pytest.approx(0.7 * free(), rel=0.2)
