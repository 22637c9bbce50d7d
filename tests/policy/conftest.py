from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from instar.policy import Project, read

LEAST = "model: demand\ntask: {kind: binary, target: up}\nnetwork: nets:build\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Project]:
    """Write a file after the least there must be, and read it."""

    def run(
        more: str = "",
        overrides: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        *,
        least: str | bytes = LEAST,
    ) -> Project:
        path = tmp_path / "instar.yaml"
        text = least if isinstance(least, bytes) else least.encode()
        path.write_bytes(text + more.encode())
        return read(path, overrides, env or {})

    return run
