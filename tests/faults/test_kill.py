"""SIGKILL the worker wherever it is; resuming ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from instar.ledger.journal import SqliteJournal
from tests import demand

YAML = """\
model: demand
task: {kind: binary, target: up}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 40, patience: 40, batch: 16, checkpoint_s: 0}
  package: {int8: never}  # which graph serves is measured, and so need not be the same twice
  validate:
    {latency_ms: 10000, suspicious_gain: 0.9, attack: {rows: 20, steps: 2},
     flips: {max: 1, old_max: 1}}
"""
STAGES = ("request", "admission", "plan", "training", "bundle", "validation")
KILLED = ("request", "training", "bundle", "validation")
KEPT = ("verdict", "weights", "history", "steps", "metrics", "champion", "candidate")


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill") / "demand"
    folder.mkdir()
    sizes = {"train": 300, "holdout": 150, "fresh": 400}
    return demand.adopted(folder, YAML, sizes, columns=("x", "shop", "up"))


def begin(folder: Path, task: str, **args: Any) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a worker as the service does; return it and the file that it reports to."""
    out = folder / "out.jsonl"
    out.write_text("")
    order = {"do": task, "root": str(folder), "by": "alice", "set": {}, "args": args}
    process = subprocess.Popen([sys.executable, "-m", "instar.worker"], stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(json.dumps({**order, "out": str(out)}).encode())
    process.stdin.close()
    return process, out


def ask(folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    source = str(folder / "fresh.parquet")
    return begin(folder, "update", source=source, reason="weekly", seed=3)


def kinds(folder: Path) -> list[str]:
    """The update's entries so far, read without a lock that the worker would wait for."""
    place = f"file:{folder / '.instar' / 'ledger.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(place, uri=True)) as database:
        query = "SELECT kind FROM entries WHERE update_id = 'u0001' ORDER BY seq"
        return [kind for (kind,) in database.execute(query)]


def trained(out: Path) -> int:
    """How many epochs a worker has told of, by whole lines."""
    lines = [json.loads(line) for line in out.read_text().split("\n")[:-1]]
    said = [line["progress"] for line in lines if "progress" in line]
    return max((int(p["done"]) for p in said if p["what"] == "train" and p["total"] > 1), default=0)


def kill_when(
    process: subprocess.Popen[bytes], seen: Callable[[], bool], limit_s: float = 180
) -> bool:
    """Kill a process at the moment something is seen; tell whether it still lived."""
    until = time.monotonic() + limit_s
    while process.poll() is None and not seen() and time.monotonic() < until:
        time.sleep(0.005)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return alive


def left(folder: Path) -> Mapping[str, Any]:
    """What an update came to, less what time and cost say."""
    journal = SqliteJournal(folder / ".instar" / "ledger.db")
    entries = journal.entries(update="u0001")
    found = {e.kind: {k: e.body[k] for k in KEPT if k in e.body} for e in entries}
    assert [e.kind for e in entries] == [*STAGES, "approval"]  # each once, in order
    assert journal.verify() == []
    journal.close()
    findings = entries[5].body["findings"]
    # The size is that of the card, too, which names versions by the minute.
    messages = [f["message"] for f in findings if f["code"] not in ("latency", "size")]
    return {**found, "messages": [m for m in messages if " ms" not in m], "bundle": None}


@pytest.fixture(scope="module")
def undisturbed(adopted: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = tmp_path_factory.mktemp("calm") / "demand"
    shutil.copytree(adopted, folder)
    process, out = ask(folder)
    assert process.wait() == 0
    assert "result" in json.loads(out.read_text().splitlines()[-1]), out.read_text()
    return left(folder)


@pytest.fixture
def folder(adopted: Path, tmp_path: Path) -> Path:
    shutil.copytree(adopted, tmp_path / "demand")
    return tmp_path / "demand"


def test_training_that_is_killed_goes_on_and_ends_in_the_same_weights(
    folder: Path, undisturbed: Mapping[str, Any]
) -> None:
    process, out = ask(folder)
    assert kill_when(process, lambda: trained(out) >= 7)
    assert kinds(folder)[-1] == "plan"
    process, out = begin(folder, "resume", update="u0001")
    assert kill_when(process, lambda: trained(out) >= 20)
    first = json.loads(next(line for line in out.read_text().splitlines() if '"total": 40' in line))
    assert first["progress"]["done"] >= 7  # it went on, and did not begin anew
    done = subprocess.run(
        [sys.executable, "-m", "instar", "resume", "u0001", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["state"] == "waiting"
    assert left(folder) == undisturbed


def test_update_that_is_killed_behind_its_entries_ends_as_one_that_was_not(
    folder: Path, undisturbed: Mapping[str, Any]
) -> None:
    process, _ = ask(folder)
    killed = 0
    for kind in KILLED:
        killed += kill_when(process, functools.partial(reached, folder, kind))
        process, out = begin(folder, "resume", update="u0001")
    assert process.wait() == 0
    assert "result" in json.loads(out.read_text().splitlines()[-1]), out.read_text()
    assert killed >= len(KILLED) - 1  # behind the validation there is little left to kill
    assert left(folder) == undisturbed


def reached(folder: Path, kind: str) -> bool:
    return kind in kinds(folder)
