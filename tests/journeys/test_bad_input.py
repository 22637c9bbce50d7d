"""A mistake gets one clear line and exit code 2, and nothing is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from tests import demand

YAML = """\
model: demand
task: {kind: binary, target: up, time: when, id: row}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50}
  train: {full_epochs: 2}
"""


def instar_says(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instar", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def adopted_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demand")
    return demand.adopted(folder, YAML, {"train": 600, "holdout": 200, "fresh": 300})


def traces(folder: Path) -> Mapping[str, bytes]:
    """Everything in the workspace, but for the lock files of the ledger."""
    files = [file for file in sorted((folder / ".instar").rglob("*")) if file.is_file()]
    return {str(file): file.read_bytes() for file in files if "journal" not in file.suffix}


def with_(column: pl.Expr) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        demand.table(300, 3).with_columns(column).write_parquet(folder / "bad.parquet")
        return "bad.parquet"

    return write


def without(name: str) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        demand.table(300, 3).drop(name).write_parquet(folder / "bad.parquet")
        return "bad.parquet"

    return write


def renamed(folder: Path) -> str:
    demand.table(300, 3).rename({"shop": "shops"}).write_parquet(folder / "bad.parquet")
    return "bad.parquet"


def raw(name: str, data: bytes) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(data)
        return name

    return write


def truncated(folder: Path) -> str:
    whole = (folder / "fresh.parquet").read_bytes()
    (folder / "bad.parquet").write_bytes(whole[: len(whole) // 2])
    return "bad.parquet"


ROW = b"when,row,x,shop,up\n1,a,0.5,north,true\n"
BAD: Mapping[str, tuple[Callable[[Path], str], str]] = {
    "missing file": (lambda folder: "nothing.parquet", "nothing.parquet"),
    "empty file": (raw("bad.csv", b""), "none in bad.csv"),
    "header only": (raw("bad.csv", b"when,row,x,shop,up\n"), "row"),
    "truncated parquet": (truncated, "bad.parquet"),
    "other encoding": (
        raw("bad.csv", "when,row,x,shop,up\n1,a,1,größe,true\n".encode("latin-1")),
        "UTF-8",
    ),
    "ragged rows": (raw("bad.csv", ROW + b"2,b,0.5\n3,c,0.1,north,true,9,9\n"), "bad.csv"),
    "missing column": (without("x"), "'x'"),
    "extra column": (with_(pl.lit(1.0).alias("y")), "'y'"),
    "renamed column": (renamed, "'shop'"),
    "unknown category": (with_(pl.lit("west").alias("shop")), "'west'"),
    "unknown label": (with_(pl.lit("maybe").alias("up")), "'maybe'"),
    "no label": (with_(pl.lit(None, pl.Boolean).alias("up")), "label"),
    "one class only": (with_(pl.lit(value=True).alias("up")), "class"),
    "NaN": (with_(pl.lit(float("nan")).alias("x")), "NaN"),
    "infinite": (with_(pl.lit(float("inf")).alias("x")), "infinite"),
    "text for number": (with_(pl.lit("much").alias("x")), "'much'"),
    "unknown format": (raw("bad.xyz", b"abc"), "bad.xyz"),
}


@pytest.mark.parametrize("name", BAD)
def test_update_refuses_data_with_one_line_and_writes_nothing(
    adopted_table: Path, name: str
) -> None:
    make, needle = BAD[name]
    source = make(adopted_table)
    before = traces(adopted_table)
    done = instar_says(adopted_table, "update", source, "--reason", "weekly", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert needle in done.stderr
    assert str(adopted_table) not in done.stderr
    assert traces(adopted_table) == before


def rewrite(folder: Path, old: str, new: str) -> None:
    (folder / "instar.yaml").write_text(YAML.replace(old, new))


POLICIES = {
    "unknown key": ("min_rows: 50", "min_row: 50", "min_rows"),
    "wrong type": ("min_rows: 50", "min_rows: many", "min_rows"),
    "impossible value": ("min_rows: 50", "min_rows: -1", "min_rows"),
    "unknown section": ("  admit:", "  admitt:", "admit"),
    "not yaml": ("model: demand", "model: [demand", "line"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_policy_mistake_is_one_line(tmp_path: Path, name: str) -> None:
    old, new, needle = POLICIES[name]
    rewrite(tmp_path, old, new)
    done = instar_says(tmp_path, "policy", "show")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert needle in done.stderr
    assert not (tmp_path / ".instar").exists()


def test_no_policy_file_is_one_line(tmp_path: Path) -> None:
    done = instar_says(tmp_path, "status")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "instar.yaml" in done.stderr


@pytest.mark.parametrize("command", ["status", "resume", "report", "release", "approve"])
def test_unknown_update_is_one_line(adopted_table: Path, command: str) -> None:
    done = instar_says(adopted_table, command, "u9999")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "u9999" in done.stderr


class Poison:
    """A pickle that would leave a trace if anything ever opened it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.trace,))


def other_shape(folder: Path) -> Path:
    save_file({"head.weight": torch.zeros(3, 3)}, folder / "weights.safetensors")
    return folder / "weights.safetensors"


def pickled(folder: Path) -> Path:
    torch.save({"x": Poison(folder / "opened")}, folder / "weights.pt")
    return folder / "weights.pt"


@pytest.mark.parametrize("weights", [other_shape, pickled])
def test_adopt_refuses_weights_and_writes_nothing(
    adopted_table: Path, tmp_path: Path, weights: Callable[[Path], Path]
) -> None:
    for file in ("instar.yaml", "train.parquet", "holdout.parquet"):
        (tmp_path / file).write_bytes((adopted_table / file).read_bytes())
    given = ["--train", "train.parquet", "--holdout", "holdout.parquet"]
    done = instar_says(tmp_path, "adopt", weights(tmp_path).name, *given, "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (tmp_path / "opened").exists()
    assert not (tmp_path / ".instar").exists()


NETWORKS = {
    "raises": ("def build(inputs):\n    raise ValueError('no such layer')\n", "no such layer"),
    "returns something else": ("def build(inputs):\n    return 7\n", "int"),
    "has no such function": ("x = 1\n", "build"),
    "does not compile": ("def build(:\n", "nets"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_adopt_refuses_a_network_function(adopted_table: Path, tmp_path: Path, name: str) -> None:
    code, needle = NETWORKS[name]
    for file in ("train.parquet", "holdout.parquet", "champion.safetensors"):
        (tmp_path / file).write_bytes((adopted_table / file).read_bytes())
    network = "network: {family: mlp, hidden: [8]}"
    (tmp_path / "instar.yaml").write_text(YAML.replace(network, "network: {build: nets:build}"))
    (tmp_path / "nets.py").write_text(code)
    given = ["--train", "train.parquet", "--holdout", "holdout.parquet"]
    done = instar_says(tmp_path, "adopt", "champion.safetensors", *given, "--json")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert needle in done.stderr
    assert not (tmp_path / ".instar").exists()


def test_second_update_is_refused_while_one_is_open(adopted_table: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "demand"
    shutil.copytree(adopted_table, folder)
    setting = ["--set", "policy.plan.strategy=incremental", "--set", "policy.plan.min_gain=0"]
    first = instar_says(folder, "update", "fresh.parquet", "--reason", "weekly", "--json", *setting)
    assert first.returncode in (1, 3), first.stderr
    if first.returncode == 1:
        pytest.fail(first.stdout)
    before = traces(folder)
    done = instar_says(folder, "update", "fresh.parquet", "--reason", "again", "--json")
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "u0001" in done.stderr
    assert traces(folder) == before
