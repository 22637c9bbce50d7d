"""A client that is not ours: tritonclient, with every way that it knows to send tensors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"


@pytest.fixture(scope="module")
def told(shared: Any) -> dict[str, Any]:
    shared.move({OLD: 1.0}, warm=(NEW,))
    script = Path(__file__).with_name("triton_asks.py")
    command = [sys.executable, str(script), shared.gateway.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_encoding_gives_the_same_answer(told: dict[str, Any]) -> None:
    answers = list(told["answers"].values())
    assert len(answers) == 18
    for answer in answers:
        # sigmoid(x + 0.5 for red): x is 1 and -1
        assert answer["scores"][0] == pytest.approx([0.18243, 0.81757], abs=1e-4)
        assert answer["scores"][1] == pytest.approx([0.73106, 0.26894], abs=1e-4)
        assert answer["labels"] == ["yes", "no"]
        assert (answer["id"], answer["version"]) == ("seven", OLD)
    assert told["large"] == 600
    assert told["pinned"] == NEW


def test_server_and_model_are_described(told: dict[str, Any]) -> None:
    assert told["live"]
    assert told["ready"]
    assert told["model ready"] == [True, False]
    assert "binary_tensor_data" in told["server"]["extensions"]
    assert told["model"]["versions"] == [OLD, NEW]
    assert told["config"]["max_batch_size"] > 0
    assert {row["state"] for row in told["index"]} == {"READY"}
    stats = {row["version"]: row for row in told["statistics"]["model_stats"]}
    assert stats[OLD]["inference_count"] >= 36 + 600
    assert stats[NEW]["inference_stats"]["success"]["count"] >= 1


def test_mistakes_arrive_as_such(told: dict[str, Any]) -> None:
    statuses = {name: status for name, (status, _) in told["mistakes"].items()}
    assert statuses == {"model": "404", "version": "404", "unload": "400", "output": "400"}
    assert all(text.startswith("wanted ") for _, text in told["mistakes"].values())
