"""A directory of images with one folder per class, the `imagefolder` convention."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from instar.core.errors import InputError

ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}


class NoImages(InputError):
    """Refuse a directory in which no class folder holds an image."""

    code = "input.no_images"

    def __init__(self, name: str) -> None:
        super().__init__("one folder of images per class", f"none in {name}", "check the folder")


class StrangeFile(InputError):
    """Refuse a file among the images whose ending is not that of an image."""

    code = "input.strange_file"

    def __init__(self, name: str) -> None:
        super().__init__("only images in a class folder", name, "move it elsewhere")


def read(path: Path) -> pl.DataFrame:
    """Read encoded image bytes into `image`, `label` and `file_name`, in the order of names."""
    files = sorted(file for file in path.glob("*/**/*") if file.is_file() and _visible(file, path))
    if not files:
        raise NoImages(path.name)
    if strange := [file for file in files if file.suffix.lower() not in ENDINGS]:
        raise StrangeFile(strange[0].relative_to(path).as_posix())
    names = [file.relative_to(path) for file in files]
    return pl.DataFrame(
        {
            "image": [file.read_bytes() for file in files],
            "label": [name.parts[0] for name in names],
            "file_name": [name.as_posix() for name in names],
        },
        schema={"image": pl.Binary, "label": pl.String, "file_name": pl.String},
    )


def _visible(file: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(root).parts)
