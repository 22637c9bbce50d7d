"""The demo's stage: a copy of the flights example, its data, its champion, its gateway."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import instar
from instar.core.errors import BackendError, InputError

if TYPE_CHECKING:
    import polars as pl

TASK_COLUMNS = ("late", "dep_delay")
CELSIUS_AIRPORT = "LGA"
BROKEN_FROM, BROKEN_DAYS = datetime(2013, 7, 8), 7  # noqa: DTZ001  the flights carry no zone


class NoExample(InputError):
    """Say that the demo's files are not there."""

    code = "demo.no_example"

    def __init__(self) -> None:
        super().__init__("the folder examples/flights", "none", "run `make demo` in the repository")


class Unprepared(BackendError):
    """Report that a script of the example failed."""

    code = "demo.unprepared"

    def __init__(self, script: str, last: str) -> None:
        super().__init__(f"{script} to run", last, "install the extra: pip install 'instar[all]'")


def example() -> Path:
    """Find the flights example beside the source tree."""
    folder = Path(instar.__file__).parents[2] / "examples" / "flights"
    if not (folder / "instar.yaml").is_file():
        raise NoExample
    return folder


def lay_out(folder: Path, seed: int) -> None:
    """Copy the example, prepare its data and train the champion that is in service.

    Raises:
        NoExample: the example is not installed.
        Unprepared: one of its scripts failed.
    """
    source = example()
    folder.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.suffix in (".py", ".yaml", ".md"):
            shutil.copy(file, folder / file.name)
    for script, arguments in (("prepare.py", ()), ("train_champion.py", (str(seed),))):
        _run(folder, script, arguments)


def _run(folder: Path, script: str, arguments: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Unprepared(script, lines[-1] if lines else f"exit {done.returncode}")


def month(folder: Path, number: int) -> pl.DataFrame:
    """Read the flights of one month, those that have a label."""
    import polars as pl

    rows = pl.read_parquet(folder / f"data/2013-{number:02}.parquet")
    return rows.filter(pl.col("late").is_not_null())


def live(rows: pl.DataFrame) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
    """Split flights into what a live request knows, and the labels that come after landing."""
    labels = dict(zip(rows["flight"].to_list(), rows["late"].to_list(), strict=True))
    return rows.drop(*TASK_COLUMNS).to_dicts(), labels


def spoil(rows: pl.DataFrame) -> pl.DataFrame:
    """Break a month in two ways that really happen.

    One airport reports its temperatures in Celsius, and a join that is off by one row gave the
    flights of one week their neighbours' labels.
    """
    import polars as pl

    celsius = (pl.col("temp") - 32) / 1.8
    there = pl.col("origin") == CELSIUS_AIRPORT
    until = BROKEN_FROM + timedelta(days=BROKEN_DAYS)
    week = pl.col("scheduled").is_between(BROKEN_FROM, until, closed="left")
    return rows.with_columns(
        temp=pl.when(there).then(celsius).otherwise("temp"),
        late=pl.when(week).then(pl.col("late").shift(1)).otherwise("late"),
    )
