"""A directory of images, the `imagefolder` convention.

cat/a.png, dog/b.png              one folder per class: `image`, `label`, `file_name`
images/a.png, masks/a.png         a mask beside each image: `image`, `mask`, `file_name`
metadata.csv (or .parquet)        a table; `file_name` becomes `image`, `X_file_name` `X`
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from instar.core.errors import InputError
from instar.data.readers import delimited, parquet

_METADATA = {"metadata.csv": delimited.read, "metadata.parquet": parquet.read}
_NAME, _SUFFIX = "file_name", "_file_name"
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


class NoFileNames(InputError):
    """Refuse a metadata table that names no files."""

    code = "input.no_file_names"

    def __init__(self, name: str) -> None:
        super().__init__(f"a column file_name in {name}", "none", "name the image of each row")


class FileBeside(InputError):
    """Refuse a name that leads to no file in the directory."""

    code = "input.file_beside"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "check the folder")


def read(path: Path) -> pl.DataFrame:
    """Read encoded image bytes, in the order of names, or in that of the metadata table.

    Raises:
        InputError: there are no images, or what is named or should be beside them is not there.
    """
    for name, table in _METADATA.items():
        if (path / name).is_file():
            return _described(path, name, table(path / name))
    folders = {folder.name for folder in path.iterdir() if folder.is_dir()}
    return _masked(path) if folders == {"images", "masks"} else _classes(path)


def _described(path: Path, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Put the bytes of each named file into a column; a missing name is a missing value."""
    if _NAME not in frame.columns:
        raise NoFileNames(table)
    for column in [name for name in frame.columns if name.endswith(_NAME)]:
        target = "image" if column == _NAME else column.removesuffix(_SUFFIX)
        names = frame[column].cast(pl.String).to_list()
        data = [None if name is None else _bytes(path, name, table) for name in names]
        frame = frame.with_columns(pl.Series(target, data, dtype=pl.Binary))
    return frame.drop(name for name in frame.columns if name.endswith(_SUFFIX))


def _bytes(path: Path, name: str, table: str) -> bytes:
    file = (path / name).resolve()
    if not (file.is_relative_to(path.resolve()) and file.is_file()):
        raise FileBeside(f"the file {name!r} beside {table}", "none")
    return file.read_bytes()


def _masked(path: Path) -> pl.DataFrame:
    """Lay masks beside images of the same name, whatever the ending; one without has none."""
    images, masks = (_files(path / part) for part in ("images", "masks"))
    beside = {file.relative_to(path / "masks").with_suffix("").as_posix(): file for file in masks}
    if not images:
        raise NoImages(path.name)
    names = [file.relative_to(path / "images") for file in images]
    stems = [name.with_suffix("").as_posix() for name in names]
    if strange := sorted(beside.keys() - set(stems)):
        raise FileBeside(f"an image for each mask in {path.name}", f"none for {strange[0]!r}")
    found = [beside[stem].read_bytes() if stem in beside else None for stem in stems]
    return pl.DataFrame(
        {
            "image": [file.read_bytes() for file in images],
            "mask": found,
            "file_name": [name.as_posix() for name in names],
        },
        schema={"image": pl.Binary, "mask": pl.Binary, "file_name": pl.String},
    )


def _files(folder: Path) -> list[Path]:
    files = sorted(f for f in folder.glob("**/*") if f.is_file() and _visible(f, folder))
    if strange := [file for file in files if file.suffix.lower() not in ENDINGS]:
        raise StrangeFile(strange[0].relative_to(folder).as_posix())
    return files


def _classes(path: Path) -> pl.DataFrame:
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
