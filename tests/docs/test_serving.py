"""The page of the gateway: its calls are made as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from instar.core.policy import ServeSettings
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.client import GatewayTraffic, start
from instar.testing.bundles import tiny_bundle

PAGE = (Path(__file__).parents[2] / "docs/serving.md").read_text("utf-8")
CALLS = re.findall(r"^    (curl .+)$", PAGE, re.MULTILINE)
VERSION = "model_v20260101_0000"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("page")
    manifests = {VERSION: tiny_bundle(DirectoryArtifacts(root / "artifacts"), VERSION)}
    GatewayTraffic(root, "m").put(Route("m", 1, {VERSION: 1.0}, manifests, VERSION))
    gateway = start(root, "m", how=ServeSettings(workers=1))
    yield gateway.url.rpartition(":")[2]
    assert gateway.stop() == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_call_is_answered(port: str) -> None:
    assert len(CALLS) > 5
    said = {}
    for call in CALLS:
        words = shlex.split(call.replace("localhost:8400", f"127.0.0.1:{port}"))
        done = subprocess.run(
            [*words, "--fail-with-body", "--max-time", "20"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (call, done.stdout)
        said[call] = done.stdout
    answers = "".join(said.values())
    assert '"label":"yes"' in answers
    assert '"joined":1' in answers
    assert "instar_requests_total" in answers
