"""The commands that let others believe the record."""

from __future__ import annotations

import json as text
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, Json, Root, workspace
from instar.core.errors import InputError

group = typer.Typer(help="Believe the record.", no_args_is_help=True, rich_markup_mode=None)


@group.command("verify")
def verify(
    deep: Annotated[
        bool, typer.Option("--deep", help="Look into the database's indexes, too.")
    ] = False,
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Hold the ledger against itself, its checkpoints and its witnesses."""
    from instar.cli import show

    done = workspace(root).audit(deep=deep)
    show.result(done, json, _verified)
    raise SystemExit(done["exit_code"])


@group.command("export")
def export(folder: Path, root: Root = HERE, json: Json = False) -> None:
    """Write the ledger, its checkpoints and the public key into a new folder."""
    from instar.cli import show

    show.result(workspace(root).export(folder), json, _exported)


@group.command("prove")
def prove(
    entry: int,
    out: Annotated[Path | None, typer.Option(help="The file to write; else it is printed.")] = None,
    root: Root = HERE,
) -> None:
    """Prove to somebody who does not have the ledger that an entry is in it, as JSON."""
    proof = text.dumps(workspace(root).prove(entry), ensure_ascii=False)
    if out is None:
        print(proof)
        return
    try:
        out.write_text(proof + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            "a file to write", f"{out.name!r}: {error.strerror}", "choose another: --out FILE"
        ) from error


@group.command("forget")
def forget(name: str, root: Root = HERE, json: Json = False) -> None:
    """Forget who somebody is; what they did stays in the record, under a pseudonym."""
    from instar.cli import show

    workspace(root).forget(name)
    show.result({"forgotten": True}, json, _forgotten)


def _forgotten(_: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    console.print("[green]✔[/green] forgotten; the record stays whole")


def _verified(done: Mapping[str, Any]) -> None:
    """Say whether the record holds, or where it breaks first, and what the witnesses know."""
    from rich.text import Text

    from instar.cli.show import console, mark

    for problem in done["problems"]:
        console.print(Text.assemble(mark("fail"), f" {problem}"), soft_wrap=True)
    if not done["problems"]:
        console.print(f"[green]✔[/green] {done['entries']:,} entries, every one as it was written")
    for witness in done["witnesses"]:
        said = f" the witness {witness['witness']} was told of {witness['told']:,} entries"
        why = f"; {witness['problem']}" if witness["problem"] else ""
        line = Text.assemble(mark("inconclusive" if why else "pass"), said, why)
        console.print(line, soft_wrap=True)


def _exported(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    console.print(
        f"[green]✔[/green] {done['entries']:,} entries in {done['folder']}", soft_wrap=True
    )
    console.print("  next: python -m instar_verifier FOLDER --key KEY", markup=False)
