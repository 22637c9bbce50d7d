"""`instar label` from the door to the sheet, and what is refused before anything is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import instar
from instar.cli import app
from instar.core.errors import InputError
from instar.service.convert import TakenFile
from instar.service.label import AUDIT, BadCount, BadThreshold, NoSheet, OneWay, order
from tests import demand

YAML = """\
model: demand
task: {kind: binary, target: up, time: when, id: row}
network: {family: mlp, hidden: [8]}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demand")
    return demand.adopted(folder, YAML, {"train": 400, "holdout": 200, "fresh": 300})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "next.csv"


def asked(**more: Any) -> dict[str, Any]:
    return {"rows": None, "by": None, "pseudo": None, "audit": None} | more


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({}, OneWay),
        ({"rows": 3, "pseudo": 0.9}, OneWay),
        ({"rows": 3, "audit": 5}, OneWay),
        ({"pseudo": 0.9, "by": "margin"}, OneWay),
        ({"pseudo": 0.5}, BadThreshold),
        ({"pseudo": 1.0}, BadThreshold),
        ({"pseudo": float("nan")}, BadThreshold),
        ({"rows": 0}, BadCount),
        ({"pseudo": 0.9, "audit": -1}, BadCount),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    out: Path, more: dict[str, Any], error: type[InputError]
) -> None:
    with pytest.raises(error):
        order(out, **asked(**more))


def test_sheet_is_a_new_csv_in_a_folder_that_is_there(out: Path) -> None:
    made = order(out, **asked(pseudo=0.9))
    assert (made["audit_rows"], Path(made["audit_output"]).name) == (AUDIT, "next.audit.csv")
    out.with_name("next.audit.csv").touch()
    with pytest.raises(TakenFile):
        order(out, **asked(pseudo=0.9))
    assert order(out, **asked(rows=1))["by"] == "entropy"
    with pytest.raises(NoSheet):
        order(out.with_suffix(".txt"), **asked(rows=1))
    with pytest.raises(TakenFile):
        order(out.parent / "no" / "next.csv", **asked(rows=1))


@pytest.mark.parametrize("by", ["entropy", "core-set"])
def test_rows_to_label_are_unlabelled_ones_of_the_file(root: Path, out: Path, by: str) -> None:
    frame = demand.table(120, 9)
    half = frame.with_columns(
        up=pl.when(pl.int_range(120) % 2 == 0).then(None).otherwise(pl.col("up"))
    )
    done = instar.open(root).label(half, out, rows=10, by=by)
    found = pl.read_csv(out)
    assert found.columns == ["row_", "row", "score", "when", "x", "shop", "up"]
    assert found["up"].null_count() == found.height == done["rows"] == 10
    assert done["unlabelled"] == 60
    numbers = found["row_"].to_list()
    assert all(number % 2 == 0 for number in numbers)
    assert found["row"].to_list() == frame["row"][numbers].to_list()
    assert sum(done["classes"].values()) == 10
    assert (out.stat().st_mode & 0o200) == 0o200


def test_door_writes_pseudo_labels_and_an_audit_that_does_not_show_them(
    root: Path, out: Path
) -> None:
    fresh = demand.table(200, 8).drop("up")
    fresh.write_parquet(out.with_name("fresh.parquet"))
    words = ["label", str(out.with_name("fresh.parquet")), "--pseudo", "0.51", "--audit", "5"]
    told = CliRunner().invoke(app, [*words, "--output", str(out), "--root", str(root), "--json"])
    assert told.exit_code == 0, told.output
    done = json.loads(told.stdout)
    found, audit = pl.read_csv(out), pl.read_csv(out.with_name("next.audit.csv"))
    assert found["score"].min() > 0.51
    assert found["up"].null_count() == 0
    counts = dict(found["up"].cast(pl.String).value_counts().rows())
    assert counts == {name: count for name, count in done["classes"].items() if count}
    assert (audit.height, done["audit"]["rows"], audit["up"].null_count()) == (5, 5, 5)
    assert "score" not in audit.columns
    assert set(audit["row_"]) <= set(found["row_"])


def test_labelled_data_and_unknown_ways_leave_no_file(root: Path, out: Path) -> None:
    with pytest.raises(InputError, match="all labelled"):
        instar.open(root).label("fresh.parquet", out, rows=10)
    with pytest.raises(InputError, match="core-set"):
        instar.open(root).label("fresh.parquet", out, rows=10, by="core_set")
    assert list(out.parent.iterdir()) == []


def test_door_says_what_comes_next(root: Path, out: Path) -> None:
    demand.table(50, 7).drop("up").write_parquet(out.with_name("fresh.parquet"))
    words = ["label", str(out.with_name("fresh.parquet")), "--rows", "5", "--by", "margin"]
    told = CliRunner().invoke(app, [*words, "--output", str(out), "--root", str(root)])
    assert (told.exit_code, "5 of 50 rows without a label, by margin" in told.output) == (0, True)
    assert "next: fill in up, take out row_ and score, then: instar check FILE" in told.output
