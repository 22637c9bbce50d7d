from __future__ import annotations

from pathlib import Path

import pytest

from instar.policy import read
from instar.policy.template import PolicyExists, write


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_first_policy_can_be_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "instar.yaml"
    write(path, model="demand", kind=kind, target="up", build="nets:build")
    project = read(path, env={})
    assert (project.model, project.task.kind.value, project.task.target) == ("demand", kind, "up")
    assert project.network.build == "nets:build"


def test_policy_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "instar.yaml"
    path.write_text("mine")
    with pytest.raises(PolicyExists):
        write(path, model="m", kind="binary", target="y", build="nets:build")
    assert path.read_text() == "mine"
