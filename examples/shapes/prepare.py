"""Draw squares and discs on noise, as a table of images with the boxes of what they show.

The old camera sees dark shapes on light ground; the new one sees less contrast, and more noise.

    python prepare.py            # writes data/train.parquet, holdout.parquet, fresh.parquet
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

HERE = Path(__file__).parent
SIDE, MOST = 32, 3  # pixels of an image; shapes in it, at most


def drawn(random: np.random.Generator, contrast: float, noise: float) -> tuple[bytes, list]:
    """Draw one image: PNG bytes, and its shapes as {label, box}."""
    image, taken, shapes = np.full((SIDE, SIDE), 200.0), np.zeros((SIDE, SIDE), bool), []
    down, right = np.indices((SIDE, SIDE))
    for _ in range(random.integers(0, MOST + 1)):
        size = int(random.integers(7, 13))
        x, y = random.integers(0, SIDE - size, 2).tolist()
        if taken[y : y + size, x : x + size].any():
            continue
        label = ["disc", "square"][random.integers(2)]
        inside = (right >= x) & (right < x + size) & (down >= y) & (down < y + size)
        taken |= inside
        if label == "disc":
            half = (size - 1) / 2
            inside = np.hypot(right - x - half, down - y - half) <= size / 2
        image[inside] -= contrast * random.uniform(0.8, 1.2)
        shapes.append({"label": label, "box": [float(v) for v in (x, y, x + size, y + size)]})
    file = BytesIO()
    pixels = np.clip(image + random.normal(0, noise, image.shape), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue(), shapes


def table(rows: int, seed: int, contrast: float = 120, noise: float = 8) -> pl.DataFrame:
    """Draw so many images."""
    random = np.random.default_rng(seed)
    images, boxes = zip(*(drawn(random, contrast, noise) for _ in range(rows)), strict=True)
    return pl.DataFrame({"image": list(images), "boxes": list(boxes)})


def main() -> None:
    """Write the three tables."""
    folder = HERE / "data"
    folder.mkdir(exist_ok=True)
    for name, rows in (
        ("train", table(600, 0)),
        ("holdout", table(200, 1)),
        ("fresh", table(600, 2, contrast=45, noise=14)),
    ):
        rows.write_parquet(folder / f"{name}.parquet")
        shapes = sum(len(cell) for cell in rows["boxes"])
        print(f"data/{name}.parquet  {rows.height:,} images  {shapes:,} shapes")


if __name__ == "__main__":
    main()
