"""Train the first champion on January to May, the way a team's existing model came to be.

Plain PyTorch and Polars; nothing here knows of Instar. Three files come out, and a fourth and
fifth with the rows it learnt from and the rows it was held against:

    champion.safetensors   the weights
    champion.json          the preprocessing: how raw columns became numbers
    data/train.parquet     data/holdout.parquet
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import torch
from nets import build
from prepare import WEATHER
from safetensors.torch import save_file
from torch.nn import functional

HERE = Path(__file__).parent
NUMBERS = ["hour", "minute", "weekday", "distance", "plane_age", *WEATHER]
CATEGORIES = ["carrier", "origin", "dest"]
EPOCHS, BATCH, PEAK, DECAY = 5, 512, 4e-3, 0.1


def fit(rows: pl.DataFrame) -> dict[str, list[dict[str, object]]]:
    """Learn how to fill and scale each number to [-1, 1], and the values of each category."""
    numbers: list[dict[str, object]] = []
    for name in NUMBERS:
        values = rows[name].drop_nulls()
        low, high = float(values.quantile(0.001)), float(values.quantile(0.999))
        scale = 2 / (high - low)
        fill = float(values.median())
        numbers.append({"name": name, "fill": fill, "scale": scale, "shift": -1 - low * scale})
    categories = [
        {"name": name, "values": rows[name].drop_nulls().unique().sort().to_list()}
        for name in CATEGORIES
    ]
    return {"numbers": numbers, "categories": categories}


def tensors(rows: pl.DataFrame, how: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Turn rows into numbers (n, d), category codes (n, c) and labels (n, 1)."""
    numbers = [
        rows[c["name"]].fill_null(c["fill"]).to_numpy() * c["scale"] + c["shift"]
        for c in how["numbers"]
    ]
    codes = [
        rows[c["name"]]
        .replace_strict({v: i + 1 for i, v in enumerate(c["values"])}, default=0)
        .to_numpy()
        for c in how["categories"]
    ]
    late = (rows["late"] == "late").to_numpy()
    return (
        torch.tensor(np.stack(numbers, 1), dtype=torch.float32),
        torch.tensor(np.stack(codes, 1), dtype=torch.int64),
        torch.tensor(late[:, None], dtype=torch.float32),
    )


def main(seed: int) -> None:
    """Train, and write what a team would have kept."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    months = [pl.read_parquet(HERE / f"data/2013-{month:02}.parquet") for month in range(1, 6)]
    rows = pl.concat(months).filter(pl.col("late").is_not_null())
    rows = rows.sample(fraction=1.0, shuffle=True, seed=seed)
    held = int(0.15 * rows.height)
    holdout, train = rows.head(held).sort("scheduled"), rows.tail(-held)
    how = fit(train)
    numbers, codes, late = tensors(train, how)
    net = build(
        SimpleNamespace(
            numbers=len(NUMBERS),
            categories=tuple(len(c["values"]) + 1 for c in how["categories"]),
            outputs=1,
        )
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK, weight_decay=DECAY, fused=True)
    steps = EPOCHS * (len(late) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(late))
        for step in range(len(late) // BATCH):
            batch = order[step * BATCH : (step + 1) * BATCH]
            loss = functional.binary_cross_entropy_with_logits(
                net(numbers[batch], codes[batch]), late[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1:2} of {EPOCHS}  loss {loss.item():.3f}", flush=True)
    save_file(net.state_dict(), HERE / "champion.safetensors")
    (HERE / "champion.json").write_text(json.dumps(how, indent=1))
    train.sort("scheduled").write_parquet(HERE / "data/train.parquet")
    holdout.write_parquet(HERE / "data/holdout.parquet")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
