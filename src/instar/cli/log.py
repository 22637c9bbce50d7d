"""`instar log`: the predictions that the gateway keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, Json, Root, workspace

log = typer.Typer(help="Kept predictions.", no_args_is_help=True, rich_markup_mode=None)


@log.command()
def export(
    output: Annotated[Path, typer.Argument(help="The Parquet file to write; a new file.")],
    unlabelled: Annotated[
        bool, typer.Option("--all", help="Rows without a label too, their target missing.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="With id, version, generation, time and scores.")
    ] = False,
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Write kept predictions with their labels, as fresh data for the next update."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root).export_log(output, unlabelled=unlabelled, answers=answers, tell=tell)
    show.result(done, json, _written)


def _written(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    console.print("[green]✔[/green] ", end="")
    say(f"{done['rows']:,} rows of {done['logged']:,} kept predictions: {done['file']}")
    say(f"  {done['labelled']:,} have a label; {done['labels']:,} labels were kept")
    if done["torn"]:
        say(f"  {done['torn']:,} files were cut off, and read up to their last whole batch")
    say(f"  next: instar check {done['file']}")
