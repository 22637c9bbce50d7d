"""Another client that is not ours: KServe's SDK, over REST and gRPC, by value and binary.

It wants psutil below 6 and so does not stand beside Instar: it gets an environment of its own,
with the versions of kserve.txt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.test_grpc import opened

HERE = Path(__file__).parent
VERSION = "model_v20260101_0000"


@pytest.mark.thorough
def test_kserves_client_reads_every_encoding(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "-r", str(HERE / "kserve.txt")], check=True, timeout=900)
    house = opened(tmp_path / "root")
    command = [python, str(HERE / "kserve_asks.py"), house.gateway.url, house.gateway.grpc]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    house.http.close()
    assert house.gateway.stop() == 0
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["answers"]) == 4
    for case, answer in found["answers"].items():
        assert answer["scores"][0] == pytest.approx([0.18243, 0.81757], abs=1e-4)
        assert answer["scores"][1] == pytest.approx([0.73106, 0.26894], abs=1e-4)
        assert answer["labels"] == ["yes", "no"]
        assert answer["id"] == "seven"
        if case.startswith("gRPC"):  # over REST the client drops it
            assert answer["version"] == VERSION
    assert set(found["told"].values()) == {True}
