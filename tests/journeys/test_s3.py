"""A workspace whose artifacts are in S3: adopted there, served from there, and without it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import instar
from instar.core.digest import PREFIX, digest_bytes
from instar.service import Workspace
from tests import demand
from tests.servers import s3

YAML = """\
model: demand
task: {{kind: binary, target: up}}
network: {{family: mlp, hidden: [8]}}
store: {{artifacts: "s3://{bucket}/demand?endpoint={endpoint}"}}
policy: {{admit: {{min_rows: 50}}}}
"""
ROW = [
    {"name": "x", "shape": [1], "datatype": "FP64", "data": [0.5]},
    {"name": "shop", "shape": [1], "datatype": "BYTES", "data": ["north"]},
]


@pytest.fixture
def s3_server() -> Iterator[s3.Server]:
    with s3.server() as found:
        yield found


def answer(space: Workspace) -> Any:
    """Start a gateway, ask it once, and end it."""
    with space.serve() as gateway:
        asked = httpx.post(
            f"{gateway.url}/v2/models/demand/infer", json={"inputs": ROW}, timeout=30
        )
        asked.raise_for_status()
        return asked.json()["outputs"]


def test_workspace_in_s3_serves_from_there_and_from_its_cache_when_s3_is_gone(
    tmp_path: Path, s3_server: s3.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.credentials(monkeypatch)
    policy = YAML.format(bucket=s3.BUCKET, endpoint=s3_server.endpoint)
    sizes = {"train": 300, "holdout": 150}
    folder = demand.adopted(tmp_path, policy, sizes, columns=("x", "shop", "up"))
    space = instar.open(folder, by="alice")
    listed = s3_server.client.list_objects_v2(Bucket=s3.BUCKET, Prefix="demand/sha256/")["Contents"]
    kept = {PREFIX + item["Key"].rpartition("/")[2] for item in listed}
    champion = space.champion()
    assert {champion.weights, champion.bundle.manifest, champion.train[0].digest} <= kept

    assert space.scrub() == {
        "artifacts": len(kept),
        "size": sum(item["Size"] for item in listed),
        "repaired": [],
        "quarantined": [],
        "missing": [],
        "leftovers": 0,
        "sound": True,
    }
    assert space.collect()["removed"] == []

    shutil.rmtree(folder / ".instar" / "artifacts")
    first = answer(space)  # loaded from S3, by a process that has nothing of it
    here = [path for path in (folder / ".instar" / "artifacts").rglob("*") if path.is_file()]
    assert {digest_bytes(path.read_bytes()) for path in here} <= kept
    assert champion.bundle.manifest in {PREFIX + path.name for path in here}

    with space.serve() as gateway:
        s3_server.stop()
        url = f"{gateway.url}/v2/models/demand/infer"
        asked = httpx.post(url, json={"inputs": ROW}, timeout=30)
        assert asked.json()["outputs"] == first
    assert answer(space) == first  # and after a restart
