"""A small model line that several suites update; its champion, untrained, is in service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import save_file

import instar
from instar.core.data import InputSpec
from instar.core.records import Network
from instar.models.build import build

COLUMNS = ("when", "row", "x", "shop", "up")


def table(rows: int, seed: int) -> pl.DataFrame:
    """Draw rows with a number, a category and a label that depends on both."""
    random = np.random.default_rng(seed)
    x, shop = random.normal(size=rows), random.choice(["north", "south"], rows)
    up = random.random(rows) < 1 / (1 + np.exp(-2 * x - (shop == "north")))
    return pl.DataFrame(
        {
            "when": np.arange(rows),
            "row": [f"r{seed}-{i}" for i in range(rows)],
            "x": x,
            "shop": shop,
            "up": up,
        }
    )


def adopted(
    folder: Path, policy: str, sizes: Mapping[str, int], columns: Sequence[str] = COLUMNS
) -> Path:
    """Lay out a workspace with tables of the given sizes, and adopt its champion."""
    (folder / "instar.yaml").write_text(policy)
    for seed, (name, rows) in enumerate(sizes.items(), 1):
        table(rows, seed).select(columns).write_parquet(folder / f"{name}.parquet")
    torch.manual_seed(0)
    spec = InputSpec(numbers=1, categories=(3,), outputs=1)
    network = build(Network(family="mlp", options={"hidden": [8]}), spec, folder)
    save_file(network.state_dict(), folder / "champion.safetensors")
    instar.open(folder, by="alice").adopt(
        "champion.safetensors", train="train.parquet", holdout="holdout.parquet"
    )
    return folder
