"""A large artifact is put and loaded in little memory: the peak of a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.ledger.artifacts import LIMIT_MB, measured
from tests.servers import s3

pytestmark = pytest.mark.thorough


@pytest.fixture
def s3_server() -> Iterator[s3.Server]:
    with s3.server() as found:
        yield found


@pytest.mark.parametrize("side", ["directory", "s3"])
def test_large_artifact_is_kept_in_little_memory(
    tmp_path: Path, s3_server: s3.Server, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    s3.credentials(monkeypatch)
    source = tmp_path / "weights.bin"
    with source.open("wb") as file:
        file.truncate(200_000_000)  # twice what may be in memory
    assert measured(side, source, s3_server.endpoint)["peak_mb"] < LIMIT_MB
