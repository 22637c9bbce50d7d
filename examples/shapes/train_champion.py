"""Train the first champion on the old camera's images, in plain PyTorch. Pixels become [-1, 1].

python train_champion.py         # writes champion.safetensors
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import torch
from nets import build
from PIL import Image
from safetensors.torch import save_file

HERE = Path(__file__).parent
EPOCHS, BATCH, PEAK = 10, 32, 6e-3
CLASSES = ["disc", "square"]


def images_of(rows: pl.DataFrame) -> torch.Tensor:
    """Turn rows into images, float32 (n, 1, height, width)."""
    pixels = np.stack([np.asarray(Image.open(BytesIO(data))) for data in rows["image"]])
    return torch.tensor(pixels[:, None].astype(np.float32) / 127.5 - 1)


def targets_of(rows: pl.DataFrame) -> list[dict[str, torch.Tensor]]:
    """Turn rows into targets; labels count from 1."""
    return [
        {
            "boxes": torch.tensor([one["box"] for one in cell]).reshape(-1, 4),
            "labels": torch.tensor([CLASSES.index(one["label"]) + 1 for one in cell]).long(),
        }
        for cell in rows["boxes"].to_list()
    ]


def main(seed: int) -> None:
    """Train, and write what a team would have kept."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rows = pl.read_parquet(HERE / "data/train.parquet")
    images, targets = images_of(rows), targets_of(rows)
    net = build(SimpleNamespace(image=images.shape[1:], outputs=len(CLASSES)))
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(images))[: steps // EPOCHS * BATCH].split(BATCH):
            loss = sum(net(images[batch], [targets[i] for i in batch.tolist()]).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}  loss {loss.item():.3f}", flush=True)
    save_file(net.state_dict(), HERE / "champion.safetensors")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
