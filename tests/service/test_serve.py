"""How the gateway is started: by the policy file, and the caller over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from instar.core.policy import ServeSettings
from instar.ledger.extras import MissingExtra
from instar.service import Workspace
from instar.serving import client
from instar.serving.redis import BadAddress

POLICY = """
model: m
task: {kind: binary, target: up}
network: {family: mlp, hidden: [4]}
serve: {workers: 1, cache: 7, grpc: 0, redis: 'redis://cache:6379/1'}
"""


class Nothing:
    def stop(self) -> int:
        return 0


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("champion", "settle"):
        monkeypatch.setattr(Workspace, name, lambda self: None)
    (tmp_path / "instar.yaml").write_text(POLICY)
    return Workspace(tmp_path)


def test_settings_are_the_files_and_the_callers_before_them(
    space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[ServeSettings] = []

    def start(*places: Any) -> Nothing:
        given.append(places[-1])
        return Nothing()

    monkeypatch.setattr(client, "start", start)
    with space.serve():
        pass
    with space.serve(workers=2, cache=0, grpc=9000):
        pass
    redis = "redis://cache:6379/1"
    assert given == [
        ServeSettings(workers=1, cache=7, grpc=0, redis=redis),
        ServeSettings(workers=2, cache=0, grpc=9000, redis=redis),
    ]


def test_mistakes_are_told_before_anything_starts(
    space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Workspace(space.root, settings=["serve.redis=rediss://:hunter2@cache"])
    with pytest.raises(BadAddress, match=r"redis://.*serve\.redis") as refused, bad.serve():
        pass
    assert "hunter2" not in str(refused.value)

    def missing() -> None:
        raise MissingExtra("gRPC", "grpc")

    monkeypatch.setattr(client, "require", missing)
    with pytest.raises(MissingExtra), space.serve():
        pass
    assert not (space.home / "serve").exists()
