"""Predictions that were kept become the fresh data of the next update, once their labels came."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import httpx
import polars as pl
import pytest

import instar
from instar.core.errors import InputError
from instar.core.finding import Verdict
from instar.core.records import Admission
from instar.worker.export import export
from tests import demand

YAML = """
model: demand
task: {kind: binary, target: up, time: when}
network: {family: mlp, hidden: [8]}
policy:
  admit: {min_rows: 50, holdout_shared: 1.0}
serve: {log_share: 1.0}
"""


def test_kept_predictions_and_their_labels_are_the_next_updates_fresh_data(tmp_path: Path) -> None:
    columns = ("when", "x", "shop", "up")
    sizes = {"train": 400, "holdout": 150}
    folder = demand.adopted(tmp_path, YAML, sizes, columns=columns)
    space = instar.open(folder, by="alice")
    asked = demand.table(300, 7)
    with space.serve(workers=2) as gateway, httpx.Client(base_url=gateway.url, timeout=30) as http:
        url = "/v2/models/demand/infer"
        for number, row in enumerate(asked.iter_rows(named=True)):
            inputs = [
                {"name": "x", "shape": [1], "datatype": "FP64", "data": [row["x"]]},
                {"name": "shop", "shape": [1], "datatype": "BYTES", "data": [row["shop"]]},
            ]
            answer = http.post(url, json={"id": f"r{number}", "inputs": inputs})
            assert answer.status_code == 200
        # Labels come late and out of order, some twice, some never, one of nobody.
        labels = {f"r{n}": bool(row["up"]) for n, row in enumerate(asked.iter_rows(named=True))}
        told = [{"id": name, "label": label} for name, label in reversed(labels.items())][:250]
        wrong = [{"id": told[0]["id"], "label": not told[0]["label"]}]
        for items in (wrong, told, told[:20], [{"id": "nobody", "label": True}]):
            assert http.post("/api/v1/feedback", json={"items": items}).status_code == 200
    done = space.export_log(folder / "fresh.parquet")
    assert (done["rows"], done["labelled"], done["logged"], done["torn"]) == (250, 250, 300, 0)
    with pytest.raises(InputError, match="there already"):
        space.export_log(folder / "fresh.parquet")
    fresh = pl.read_parquet(folder / "fresh.parquet")
    assert set(fresh.columns) == {"x", "shop", "up", "when"}
    expected = asked[50:].with_columns(pl.col("up").cast(pl.String))
    assert fresh.sort("x")["x"].to_list() == pytest.approx(expected.sort("x")["x"].to_list())
    pairs = {(round(x, 9), up) for x, up in fresh.select("x", "up").iter_rows()}
    assert pairs == {(round(x, 9), up) for x, up in expected.select("x", "up").iter_rows()}

    work = SimpleNamespace(champion=space.champion, home=space.home)
    everything = export(work, output=str(folder / "all.parquet"), unlabelled=True, answers=True)
    assert (everything["rows"], everything["labelled"]) == (300, 250)
    told_all = pl.read_parquet(folder / "all.parquet")
    assert set(told_all["answer_version"]) == {space.champion().name}
    assert told_all["answer_scores"].list.len().unique().to_list() == [2]
    assert told_all["up"].null_count() == 50

    outcome = space.update("fresh.parquet", reason="what was asked last week")
    state = space.state(outcome.update)
    assert state.request.fresh.rows == 250
    admission = state.get(Admission)
    assert admission is not None
    assert admission.verdict is Verdict.PASS
    # The update measured how the champion does on rows that are asked about now: a look at its age.
    due = space.due()
    assert due["reason"] == f"{outcome.update} is open: finish it first"
    decay, size = (next(f for f in due["findings"] if f["code"] == c) for c in ("decay", "size"))
    assert (decay["n"], size["n"]) == (1, 250)
