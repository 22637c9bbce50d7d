"""`instar history`: the ledger's entries, some of them, or the champion of a day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, Json, Root, workspace
from instar.core.errors import InputError


def command(
    update: Annotated[str | None, typer.Option(help="Only this update.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind of entry: training, vote, promotion, ...")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this day or moment on, in UTC: 2026-11-26.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="To the end of this day, or to this moment, in UTC.")
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="Say instead what was champion at the end of this day.")
    ] = None,
    root: Root = HERE,
    json: Json = False,
) -> None:
    """List the ledger's entries, oldest first, or say what was champion on a day."""
    from instar.cli import show

    space = workspace(root)
    if on is None:
        found = space.history(update=update, kind=kind, since=since, until=until)
        show.result({"entries": found}, json, show.history)
        return
    if any(word is not None for word in (update, kind, since, until)):
        raise InputError("--on alone", "other filters beside it", "leave them out")
    show.result(space.champion_on(on), json, _champion)


def _champion(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console
    from instar.service.dates import written

    if done["champion"] is None:
        console.print(f"{done['day']}: no champion yet")
        return
    console.print(f"{done['day']}: [bold]{done['champion']}[/bold] was the champion")
    update = f" of {done['update']}" if done["update"] else ""
    line = f"  by the {done['kind']}{update}, entry {done['entry']}, by {done['by']}"
    console.print(f"{line}, {written(done['since'])}", markup=False)
