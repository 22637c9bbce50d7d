"""`instar show`: everything that an entry, an update or a version has to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, Json, Root, workspace


def command(
    what: Annotated[
        str,
        typer.Argument(
            help="An entry's number, an update, a version, `champion`, or `champion~1` before it."
        ),
    ],
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Say what an entry or an update holds, or why a version is live."""
    from instar.cli import show

    show.result(workspace(root).show(what), json, _found)


def _found(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    if "version" in done:
        _version(done["version"])
    elif "update" in done:
        console.print(f"[bold]{done['update']}[/bold] is {done['state']}")
        for entry in done["entries"]:
            _entry(entry, whole=False)
    else:
        _entry(done["entry"], whole=True)


def _say(line: str, style: str = "") -> None:
    from rich.text import Text

    from instar.cli.show import console

    console.print(Text(line, style=style), soft_wrap=True)


def _entry(entry: Mapping[str, Any], *, whole: bool) -> None:
    from instar.service.dates import written

    about = f" of {entry['update']}" if entry["update"] else ""
    verdict = f": {entry['verdict']}" if entry["verdict"] else ""
    _say(f"entry {entry['seq']}, {entry['kind']}{about}{verdict}", "bold")
    own = entry["owner"] in (None, entry["by"])
    owner = "" if own else f", owned by {entry['owner']}"
    _say(f"  by {entry['by']}{owner}, {written(entry['at'])}")
    for line in entry["says"]:
        _say(f"  {line}")
    if whole:
        _made(entry)
        _findings(entry)


def _made(entry: Mapping[str, Any]) -> None:
    for given in entry["inputs"]:
        where = f", entry {given['entry']}" if given["entry"] else ""
        _say(f"  from {given['name']}{where}: {given['digest']}", "dim")
    if entry["output"]:
        _say(f"  output: {entry['output']}", "dim")
        _say(f"  policy: {entry['policy']}", "dim")
    if entry["code"]:
        _say(f"  code: Instar {entry['code']['version']}, {entry['code']['source']}", "dim")
    if entry["epoch"] is not None:
        _say(f"  epoch: {entry['epoch']}", "dim")
    _say(f"  after: {entry['prev']}", "dim")
    _say(f"  sealed: {entry['hash']}", "dim")


def _findings(entry: Mapping[str, Any]) -> None:
    from instar.cli.show import findings

    findings(entry["findings"])


def _version(version: Mapping[str, Any]) -> None:
    from instar.core.digest import short

    _say(f"{version['name']} is {'live' if version['live'] else 'not live'}", "bold")
    for step in version["why"]:
        _say(f"  {step['entry']:4}  {step['text']}")
    _say(f"  weights {short(version['weights'])}, bundle {short(version['bundle'])}", "dim")
    measured = ", ".join(f"{name} {value:.4f}" for name, value in version["metrics"].items())
    if measured:
        _say(f"  measured: {measured}", "dim")
