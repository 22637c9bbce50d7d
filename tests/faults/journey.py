"""A whole journey of a tiny model line, command by command, that can be killed anywhere.

Each `Step` is what a user types, and what the same user types after a crash. The workspace is
copied before each step, so that a crash in a step costs that step and not the way to it. The
journal is a parameter: a `Store` says what `store.journal` is and how it is copied.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import torch
from safetensors.torch import save_file

from instar.cli import app
from instar.core.data import InputSpec
from instar.core.records import Network
from instar.ledger import stores
from instar.models.build import build
from tests import demand
from tests.servers.postgres import PostgresServer

YAML = """\
model: demand
task: {kind: binary, target: up}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 3, patience: 40, batch: 64, checkpoint_s: 0}
  package: {int8: never}
  validate:
    {metrics: {auroc: {margin: 0.5}}, old_margin: 0.9, flips: {max: 1, old_max: 1},
     suspicious_gain: 0.9, resamples: 100, latency_ms: 5000, attack: {rows: 20, steps: 2}}
  release: {tick_s: 0.05, p99_ms: 5000, steps: [{share: 0.5, requests: 5}]}
"""
TABLES = {"train": 300, "holdout": 150, "fresh": 300, "later": 300}
ASKED = [
    {"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]},
    {"name": "shop", "shape": [1], "datatype": "BYTES", "data": ["north"]},
]
ONCE = ("adoption", "request", "admission", "plan", "training", "bundle", "validation")
CROWNED = ("promotion", "rollback")
Popen = type[subprocess.Popen[Any]]


class Store(Protocol):
    """Where the journal lies: its setting, and a copy of it for a copied workspace."""

    name: str

    def setting(self, folder: Path) -> str: ...
    def copy(self, source: Path, target: Path) -> None: ...
    def forget(self, folder: Path) -> None: ...


class Sqlite:
    """The journal is a file in the workspace, and copied with it."""

    name = "sqlite"

    def setting(self, folder: Path) -> str:
        return ""

    def copy(self, source: Path, target: Path) -> None:
        pass

    def forget(self, folder: Path) -> None:
        pass


class Postgres:
    """The journal is a database of a server that the tests started; copies are databases, too."""

    name = "postgres"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.made: dict[Path, str] = {}

    def _database(self, folder: Path) -> str:
        if folder not in self.made:
            self.made[folder] = f"j{secrets.token_hex(6)}"
            self.server.sql(f"CREATE DATABASE {self.made[folder]}")
        return self.made[folder]

    def setting(self, folder: Path) -> str:
        return f"postgresql://postgres@/{self._database(folder)}?host={self.server.folder}"

    def copy(self, source: Path, target: Path) -> None:
        self.made[target] = f"j{secrets.token_hex(6)}"
        template = self._database(source)
        self.server.sql(f"CREATE DATABASE {self.made[target]} TEMPLATE {template}")

    def forget(self, folder: Path) -> None:
        if database := self.made.pop(folder, None):
            self.server.sql(f"DROP DATABASE {database} WITH (FORCE)")


@dataclass(frozen=True)
class Crash:
    """Leave a trace of the points that are passed; die `at` one: `files.write#3`, or a line."""

    trace: Path
    at: str = ""

    @property
    def lines(self) -> list[str]:
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    @property
    def killed(self) -> str:
        """Name the point where a process was killed; empty where none was."""
        found = [line for line in self.lines if line.startswith("KILLED ")]
        return found[0].removeprefix("KILLED ") if found else ""

    def environment(self) -> dict[str, str]:
        return {"INSTAR_CRASH_TRACE": str(self.trace), "INSTAR_CRASH_AT": self.at}


@dataclass
class House:
    """A workspace, and the hands of whoever works in it."""

    folder: Path
    popen: Popen
    store: Store
    gateways: list[Gateway] = field(default_factory=list)

    def types(self, *words: str, crash: Crash | None = None) -> tuple[int, str]:
        """Run a command to its end; return its exit status and what it said."""
        process = self.popen(
            [sys.executable, "-m", "instar", *words, "--json"],
            cwd=self.folder,
            env=self.environment(crash),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said, _ = process.communicate(timeout=120)
        finally:
            process.kill()
        return process.returncode, said

    def environment(self, crash: Crash | None) -> dict[str, str]:
        passing = self.folder.parent / "tmp"
        passing.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(passing)} | (crash.environment() if crash else {})

    def reads(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Run a command that only reads, here: its exit status and its one JSON object."""
        out, status, opened = io.StringIO(), 0, []
        open_journal = stores.open_journal

        def noted(*given: Any) -> Any:
            opened.append(open_journal(*given))
            return opened[-1]

        with contextlib.redirect_stdout(out), mock.patch.object(stores, "open_journal", noted):
            try:
                app([*words, "--root", str(self.folder), "--json"], standalone_mode=False)
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                for journal in opened:  # a command leaves that to the end of its process
                    journal.close()
        return status, json.loads(out.getvalue())

    def commands(self) -> set[str]:
        """Name the commands that there are."""
        groups = {group.name for group in app.registered_groups if group.name}
        return groups | {
            str(command.callback.__name__)
            for command in app.registered_commands
            if command.callback
        }

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.reads("history")[1]["entries"]
        return found

    def updates(self) -> dict[str, dict[str, Any]]:
        return {row["update"]: row for row in self.reads("status")[1]["updates"]}

    @contextmanager
    def serving(self, crash: Crash | None = None) -> Iterator[Gateway]:
        """Keep a gateway up for the while, with a little traffic."""
        gateway = Gateway(self, crash)
        try:
            yield gateway
        finally:
            gateway.stop()

    def copied(self, parent: Path) -> House:
        """Copy the workspace, journal and all, into a folder."""
        target = parent / self.folder.name
        shutil.copytree(self.folder, target)
        made = House(target, self.popen, self.store)
        self.store.copy(self.folder, target)
        made.settle()
        return made

    def settle(self) -> None:
        """Say in the policy where this copy's journal is."""
        setting = self.store.setting(self.folder)
        store = f"store: {{journal: {json.dumps(setting)}}}\n" if setting else ""
        (self.folder / "instar.yaml").write_text(YAML + store)

    def essence(self) -> dict[str, Any]:
        """Tell what the ledger says was done, less what names, time and cost say."""
        entries = self.history()
        roles = {e["body"]["name"]: "adopted" for e in entries if e["kind"] == "adoption"}
        roles |= {e["body"]["version"]: e["update"] for e in entries if e["kind"] == "bundle"}
        champion = self.reads("status")[1]["champion"]
        updates = {name: row["state"] for name, row in self.updates().items()}
        return {
            "champion": roles[champion] if champion else None,
            "updates": updates,
            "once": [(e["kind"], e["update"]) for e in entries if e["kind"] in ONCE],
            "crowned": [(e["kind"], e["update"]) for e in entries if e["kind"] in CROWNED],
            "weights": [e["body"]["weights"] for e in entries if e["kind"] == "training"],
            "bundles": [_sealed(e) for e in entries if e["kind"] in ("adoption", "bundle")],
            "metrics": [e["body"]["candidate"] for e in entries if e["kind"] == "validation"],
            "failed": [e["body"] for e in entries if e["kind"] == "failed"],
        }


def _sealed(entry: Mapping[str, Any]) -> dict[str, str]:
    """Digests of a bundle's files; its card bears the version's name, which is a date."""
    bundle = entry["body"].get("bundle", entry["body"])
    return {file["name"]: file["digest"] for file in bundle["files"] if file["name"] != "card.md"}


class Gateway:
    """A gateway that is asked all the time, and started again when it dies, as by an init."""

    def __init__(self, house: House, crash: Crash | None = None) -> None:
        self.house = house
        self.starts, self.url = 0, ""
        self.process: subprocess.Popen[str] | None = None
        self._start(crash)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._mind, daemon=True)
        self._thread.start()

    def _start(self, crash: Crash | None = None) -> None:
        self.starts += 1
        root = str(self.house.folder / ".instar")
        given = ("--root", root, "--model", "demand", "--workers", "1")  # more only load it again
        self.process = self.house.popen(
            [sys.executable, "-m", "instar.serving", *given],
            env=self.house.environment(crash),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        self.url = json.loads(line)["url"] if line else ""

    def _mind(self) -> None:
        number = 0
        while not self._stop.wait(0.01):
            assert self.process
            if self.process.poll() is not None:
                self._end()
                self._start()
            number += 1
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self.ask(f"r{number}")

    def get(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        host = self.url.removeprefix("http://")
        line = http.client.HTTPConnection(host, timeout=5)
        try:
            line.request("POST" if body else "GET", path, body)
            answer = line.getresponse()
            found: dict[str, Any] = json.loads(answer.read())
            if answer.status != 200:
                raise ValueError(found)
            return found
        finally:
            line.close()

    def ask(self, unit: str) -> dict[str, Any]:
        """Ask for one prediction over the open protocol."""
        asked = json.dumps({"id": unit, "inputs": ASKED}).encode()
        return self.get("/v2/models/demand/infer", asked)

    def _end(self) -> None:
        if self.process and self.process.stdout:
            self.process.stdout.close()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self.process
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._end()


@dataclass(frozen=True)
class Step:
    """One command of the journey. `follows` says whether the next step goes on from its end."""

    name: str
    act: Callable[[House, Crash | None], None]
    again: Callable[[House, Crash | None], None]
    follows: bool = True


def _adopt(house: House, crash: Crash | None) -> None:
    data = ("--train", "train.parquet", "--holdout", "holdout.parquet")
    house.types("adopt", "champion.safetensors", *data, "--by", "alice", crash=crash)


def _update(name: str, source: str) -> tuple[Callable[..., None], Callable[..., None]]:
    def act(house: House, crash: Crash | None) -> None:
        given = ("--reason", "weekly", "--by", "alice", "--seed", "3")
        house.types("update", source, *given, crash=crash)

    def again(house: House, crash: Crash | None) -> None:
        if name in house.updates():
            house.types("resume", name, "--by", "alice", crash=crash)
        else:
            act(house, crash)

    return act, again


def _approve(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
    def act(house: House, crash: Crash | None) -> None:
        house.types("approve", name, "--by", "bob", crash=crash)

    def again(house: House, crash: Crash | None) -> None:
        if not house.updates()[name]["next"].startswith("instar release"):
            act(house, crash)

    return act, again


def _serve(house: House, crash: Crash | None) -> None:
    with house.serving(crash):
        pass


def _release(name: str) -> Callable[..., None]:
    def act(house: House, crash: Crash | None) -> None:
        with house.serving():
            house.types("release", name, "--by", "alice", crash=crash)

    return act


def _served_release(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """Kill the gateway instead, while it follows a release."""

    def act(house: House, crash: Crash | None) -> None:
        with house.serving(crash):
            house.types("release", name, "--by", "alice")

    def again(house: House, crash: Crash | None) -> None:
        if house.updates()[name]["state"] == "promoted":
            _serve(house, crash)
        else:
            act(house, crash)

    return act, again


def _rollback(house: House, crash: Crash | None) -> None:
    with house.serving():
        house.types("rollback", "--reason", "complaints", "--by", "carol", crash=crash)


def _rollback_again(house: House, crash: Crash | None) -> None:
    newest = max(house.updates())
    if house.updates()[newest]["state"] == "promoted":
        _rollback(house, crash)


def _verify(house: House, crash: Crash | None) -> None:
    house.types("audit", "verify", crash=crash)


STEPS = (
    Step("adopt", _adopt, _adopt),
    Step("serve", _serve, _serve),
    Step("update", *_update("u0001", "fresh.parquet")),
    Step("approve", *_approve("u0001")),
    Step("gateway during the release", *_served_release("u0001"), follows=False),
    Step("release", _release("u0001"), _release("u0001")),
    Step("second update", *_update("u0002", "later.parquet")),
    Step("second approve", *_approve("u0002")),
    Step("second release", _release("u0002"), _release("u0002")),
    Step("rollback", _rollback, _rollback_again),
    Step("audit verify", _verify, _verify),
)


SHORT = ("adopt", "serve", "update", "approve", "release", "rollback")
"""A journey with all that a longer one passes, but for once."""


def lay_out(folder: Path, popen: Popen, store: Store) -> House:
    """Make a workspace with tables and the weights of a network, and nothing adopted."""
    folder.mkdir(parents=True)
    for seed, (name, rows) in enumerate(TABLES.items(), 1):
        table = demand.table(rows, seed).select("x", "shop", "up")
        table.write_parquet(folder / f"{name}.parquet")
    torch.manual_seed(0)
    spec = InputSpec(numbers=1, categories=(3,), outputs=1)
    network = build(Network(family="mlp", options={"hidden": [8]}), spec, folder)
    save_file(network.state_dict(), folder / "champion.safetensors")
    house = House(folder, popen, store)
    house.settle()
    return house


@dataclass(frozen=True)
class Stretch:
    """A step as it went undisturbed: the workspace before, the points passed, what it came to."""

    step: Step
    before: House
    points: tuple[str, ...]
    came_to: dict[str, Any]


def travel(folder: Path, popen: Popen, store: Store, *, short: bool = False) -> list[Stretch]:
    """Go the whole way undisturbed; keep the workspace before each step, and its trace."""
    house = lay_out(folder / "start" / "demand", popen, store)
    stretches = []
    for number, step in enumerate(step for step in STEPS if not short or step.name in SHORT):
        after = house.copied(folder / f"after{number}")
        crash = Crash(folder / f"trace{number}")
        step.act(after, crash)
        stretches.append(Stretch(step, house, tuple(crash.lines), after.essence()))
        house = after if step.follows else house
    return stretches
