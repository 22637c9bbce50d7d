"""Train the first champion on the old digits, in plain PyTorch. Pixels become [-1, 1].

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
from torch.nn import functional

HERE = Path(__file__).parent
EPOCHS, BATCH, PEAK = 6, 64, 3e-3


def tensors(rows: pl.DataFrame) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn rows into images, float32 (n, 1, 28, 28), and digits, int64 (n,)."""
    pixels = np.stack([np.asarray(Image.open(BytesIO(data))) for data in rows["image"]])
    images = torch.tensor(pixels[:, None].astype(np.float32) / 127.5 - 1)
    return images, torch.tensor([int(digit) for digit in rows["digit"]])


def main(seed: int) -> None:
    """Train, and write what a team would have kept."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    images, digits = tensors(pl.read_parquet(HERE / "data/train.parquet"))
    net = build(SimpleNamespace(image=(1, 28, 28), outputs=10))
    steps = EPOCHS * (len(digits) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(digits))
        for step in range(len(digits) // BATCH):
            batch = order[step * BATCH : (step + 1) * BATCH]
            loss = functional.cross_entropy(net(images[batch]), digits[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {EPOCHS}  loss {loss.item():.3f}", flush=True)
    save_file(net.state_dict(), HERE / "champion.safetensors")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
