"""The model line on the page is adopted as it stands there, and answers as its network does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file

import instar
from instar.bundle.runtime import ServedBundle
from instar.ledger.artifacts import DirectoryArtifacts

# Whether INT8, which answers a little differently, serves is decided by speed.
EXACT = ("--set", "policy.package.int8=never")
PAGE = (Path(__file__).parents[2] / "docs/adopt.md").read_text("utf-8")


def rows(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    temp = rng.normal(70, 12, n)
    fails = rng.random(n) < 1 / (1 + np.exp(-(temp - 70) / 6))
    return pl.DataFrame(
        {
            "temp": temp,
            "load": rng.normal(size=n),
            "site": rng.choice(["north", "south"], n),
            "fails": np.where(fails, "yes", "no"),
        }
    ).with_columns(temp=pl.when(pl.int_range(n) % 9 > 0).then("temp"))


def lay_out(folder: Path) -> None:
    for name, text in re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL):
        (folder / name).write_text(text, "utf-8")
    rows(400, 0).write_parquet(folder / "train.parquet")
    rows(200, 1).write_parquet(folder / "holdout.parquet")
    subprocess.run([sys.executable, "save.py"], cwd=folder, check=True)


def by_hand(folder: Path, frame: pl.DataFrame) -> np.ndarray:
    """Do in NumPy and PyTorch what the page says of the preprocessing and the network."""
    how = json.loads((folder / "champion.json").read_text("utf-8"))
    numbers = [
        frame[c["name"]].fill_null(c["fill"]).to_numpy() * c["scale"] + c["shift"]
        for c in how["numbers"]
    ]
    values = how["categories"][0]["values"]
    codes = [[1 + values.index(site)] for site in frame["site"]]
    scope: dict[str, object] = {"__name__": "nets"}
    exec((folder / "nets.py").read_text("utf-8"), scope)
    net = scope["Boiler"](len(numbers), len(values) + 1)  # type: ignore[operator]
    net.load_state_dict(load_file(folder / "champion.safetensors"))
    with torch.no_grad():
        logit = net(torch.tensor(np.stack(numbers, 1)).float(), torch.tensor(codes))
    return np.asarray(logit.sigmoid()[:, 0])


def test_model_on_the_page_is_adopted_and_answers_as_its_network(tmp_path: Path) -> None:
    lay_out(tmp_path)
    command = re.search(r"^    instar (adopt .*)$", PAGE, re.MULTILINE)
    assert command
    done = subprocess.run(
        [sys.executable, "-m", "instar", *command[1].split(), "--json", *EXACT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    champion = instar.open(tmp_path).champion()
    artifacts = DirectoryArtifacts(tmp_path / ".instar/artifacts")
    bundle = ServedBundle.open(artifacts, champion.bundle.manifest)
    fresh = rows(50, 2)
    columns = {
        "temp": fresh["temp"].fill_null(float("nan")).to_numpy(),
        "load": fresh["load"].to_numpy(),
        "site": fresh["site"].to_list(),
    }
    assert np.allclose(bundle.predict(columns)[:, 1], by_hand(tmp_path, fresh), atol=1e-3)
