"""`instar label`: which rows people should label next, and pseudo-labels with an audit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, Json, Root, Seed, Set, workspace


def command(
    data: str,
    output: Annotated[Path, typer.Option(help="The CSV to write; a new file.")],
    rows: Annotated[int | None, typer.Option(help="How many rows people can label.")] = None,
    by: Annotated[
        str | None,
        typer.Option(help="How they are chosen: entropy (default), margin or core-set."),
    ] = None,
    pseudo: Annotated[
        float | None,
        typer.Option(help="Label instead all rows that the champion is surer of than this."),
    ] = None,
    audit: Annotated[
        int | None,
        typer.Option(help="How many pseudo-labels people look at, drawn at random (default 100)."),
    ] = None,
    root: Root = HERE,
    seed: Seed = 0,
    json: Json = False,
    settings: Set = None,
) -> None:
    """Say which rows to have labelled next, or pseudo-label the sure ones; nothing is recorded."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root, None, settings).label(
            data, output, rows=rows, by=by, pseudo=pseudo, audit=audit, seed=seed, tell=tell
        )
    show.result(done, json, _written)


def _written(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    how = f"by {done['by']}" if done["by"] else f"surer than {done['pseudo']:g}, pseudo-labelled"
    console.print("[green]✔[/green] ", end="")
    say(f"{done['rows']:,} of {done['unlabelled']:,} rows without a label, {how}: {done['file']}")
    if done["classes"]:
        counts = ", ".join(f"{name} {count:,}" for name, count in done["classes"].items())
        say(f"  as {done['champion']} answers: {counts}")
    without = " and ".join(done["columns"])
    if done["audit"]:
        say(f"  to audit, {done['audit']['rows']:,} rows: {done['audit']['file']}")
        say(f"  next: have the audit's {done['target']} filled in, and compare it with the other")
        say(f"  file by {done['columns'][0]}; then, without {without}: instar check FILE")
    else:
        filled = "" if done["pseudo"] else f"fill in {done['target']}, take out "
        say(f"  next: {filled or 'take out '}{without}, then: instar check FILE")
