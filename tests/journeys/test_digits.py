"""Images from end to end, through the commands that a team would type and a real HTTP client."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
import polars as pl
import pytest
from PIL import Image

VERIFIER = Path(__file__).parents[2] / "verifier" / "verify_ledger.py"
LIGHT = (
    *("--set", "policy.train.full_epochs=4"),
    *("--set", "policy.validate.attack.rows=50"),
    *("--set", "policy.release.tick_s=0.05"),
)


def says(folder: Path, *words: str, status: int | None = 0) -> dict[str, Any]:
    """Run a command with --json; its standard output must be one JSON object."""
    done = run(folder, *words, "--json")
    assert status is None or done.returncode == status, (words, done.stdout, done.stderr)
    assert len(done.stdout.splitlines()) == 1, done.stdout
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instar", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def pixels(data: bytes) -> list[int]:
    return np.asarray(Image.open(BytesIO(data))).ravel().tolist()


class Customer:
    """Send images one after the other, and tell their labels, until told to stop."""

    def __init__(self, url: str, rows: pl.DataFrame) -> None:
        self.url, self.rows = url, rows
        self.failed: list[str] = []
        self.versions: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        images = [pixels(data) for data in self.rows["image"]]
        labels = self.rows["digit"].to_list()
        number = 0
        with httpx.Client(base_url=self.url, timeout=10) as client:
            while not self._stop.is_set():
                at = number % len(images)
                self._one(client, f"r{number}", images[at], labels[at])
                number += 1

    def _one(self, client: httpx.Client, name: str, image: list[int], label: str) -> None:
        tensor = {"name": "image", "shape": [1, 28, 28], "datatype": "UINT8", "data": image}
        answer = client.post("/v2/models/digits/infer", json={"id": name, "inputs": [tensor]})
        told = client.post("/api/v1/feedback", json={"items": [{"id": name, "label": label}]})
        if not (answer.is_success and told.is_success):
            self.failed.append(answer.text + told.text)
            return
        version = answer.json()["model_version"]
        self.versions[version] = self.versions.get(version, 0) + 1


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run `instar serve` and yield where predictions are answered."""
    process = subprocess.Popen(
        [sys.executable, "-m", "instar", "serve", "--port", "0", "--pages", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
    )
    assert process.stdout
    try:
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        found = re.search(r"predictions\s+(http://[^/\s]+)/v2", said)
        assert found, said
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        process.stdout.close()


def test_digits_are_updated_released_and_taken_back(digits: Path) -> None:
    old = says(digits, "status")["champion"]
    assert says(digits, "check", "data/fresh.parquet")["admission"]["verdict"] == "pass"
    data = ["data/fresh.parquet", "--reason", "a new scanner", "--by", "alice"]
    asked = says(digits, "update", *data, *LIGHT, status=3)
    assert (asked["update"], asked["state"], asked["champion"]) == ("u0001", "waiting", old)
    own = run(digits, "approve", "u0001", "--by", "Alice ")  # nobody approves their own
    assert (own.returncode, own.stdout) == (2, "")
    assert says(digits, "status", "u0001")["state"] == "waiting"
    refused = run(digits, "release", "u0001")
    assert (refused.returncode, refused.stdout) == (2, "")
    approved = says(digits, "approve", "u0001", "--by", "bob", status=3)
    assert (approved["verdict"], approved["next"]) == ("pass", "instar release u0001")
    new = approved["candidate"]
    rows = pl.read_parquet(digits / "data/fresh.parquet")
    with serving(digits) as url, Customer(url, rows) as customer:
        done = says(digits, "release", "u0001", "--by", "olga")
        assert (done["state"], done["exit_code"]) == ("promoted", 0)
        assert says(digits, "status")["champion"] == new
        back = says(digits, "rollback", "--reason", "to see the way back", "--by", "bob")
        assert (back["champion"], back["was"], back["in_force"]) == (old, new, True)
    assert customer.failed == []
    assert customer.versions[old] > 50
    assert customer.versions[new] > 100
    assert says(digits, "status")["champion"] == old
    assert says(digits, "audit", "verify")["problems"] == []
    assert {"alice", "bob", "olga"} <= {
        entry["actor"] for entry in says(digits, "history")["entries"]
    }
    assert says(digits, "audit", "export", "export")["entries"] > 10
    record = (digits / "export" / "ledger.jsonl").read_text("utf-8").lower()
    assert [name for name in ("alice", "bob", "olga") if name in record] == []
    key = digits / ".instar" / "keys" / "ledger.pub"
    command = [sys.executable, "-I", VERIFIER, digits / "export", "--key", key]
    assert subprocess.run(command, check=False).returncode == 0
    page = says(digits, "report", "u0001", "--out", "page.html")
    assert new in (digits / page["file"]).read_text()


def drawn(size: tuple[int, int]) -> bytes:
    file = BytesIO()
    Image.new("L", size).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("image", "needle"),
    [(b"\x89PNG no picture", "image"), (drawn((28, 27)), "28"), (drawn((8, 8)), "28")],
    ids=["does not decode", "one row less", "small"],
)
def test_image_that_does_not_fit_is_one_line(digits: Path, image: bytes, needle: str) -> None:
    rows = pl.read_parquet(digits / "data/fresh.parquet").head(300)
    spoilt = rows.with_columns(
        image=pl.when(pl.int_range(pl.len()) == 17).then(pl.lit(image)).otherwise("image")
    )
    spoilt.write_parquet(digits / "bad.parquet")
    done = run(digits, "update", "bad.parquet", "--reason", "weekly", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert needle in done.stderr
    assert not run(digits, "history").stdout.count("request")
