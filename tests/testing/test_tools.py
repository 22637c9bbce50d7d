from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from instar.testing.contracts.artifacts import ArtifactsContract
from instar.testing.tools import FakeClock, InlineEngine, MemoryArtifacts, fake_tools


class TestMemoryArtifacts(ArtifactsContract):
    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> MemoryArtifacts:
        return MemoryArtifacts(tmp_path)

    @pytest.fixture
    def again(self, artifacts: MemoryArtifacts) -> Callable[[], MemoryArtifacts]:
        return lambda: artifacts

    @pytest.fixture
    def interrupt(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        def stopped(_: Path) -> bytes:
            raise KeyboardInterrupt

        return lambda: monkeypatch.setattr(Path, "read_bytes", stopped)

    @pytest.fixture
    def damage(self, artifacts: MemoryArtifacts) -> Callable[[str, bytes], None]:
        return artifacts.kept.__setitem__


def test_fake_clock_moves_only_by_sleeping() -> None:
    clock = FakeClock(at=10.0)
    clock.sleep(1.5)
    clock.sleep(2.0)
    assert (clock.now(), clock.monotonic(), clock.slept) == (13.5, 3.5, [1.5, 2.0])


def test_inline_engine_keeps_the_order() -> None:
    assert InlineEngine().map(lambda n: n * n, range(4)) == [0, 1, 4, 9]


def test_fake_tools_lend_folders_that_exist(tmp_path: Path) -> None:
    tools = fake_tools(tmp_path, seed=7)
    assert tools.seed == 7
    assert tools.scratch.is_dir()
    assert tools.project.is_dir()
    tools.progress("train", 1, 2, "half")
