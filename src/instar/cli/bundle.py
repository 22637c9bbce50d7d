"""Signed bundles: sign what serves, write one out as a folder, hold a folder against a key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, By, Json, Root, workspace

app = typer.Typer(help="Signed bundles.", no_args_is_help=True, rich_markup_mode=None)


def sign(root: Root = HERE, by: By = None, json: Json = False) -> None:
    """Sign what serves: after an upgrade from before signing, or with a new key."""
    from instar.cli import show

    show.result(workspace(root, by).sign(), json, _signed)


@app.command("export")
def export(version: str, folder: Path, root: Root = HERE, json: Json = False) -> None:
    """Write a version's bundle as a new folder, with its signature as model.sig."""
    from instar.cli import show

    show.result(workspace(root).export_bundle(version, folder), json, _exported)


@app.command("verify")
def verify(
    folder: Path,
    key: Annotated[list[Path], typer.Option(help="A public key that is trusted, PEM.")],
    signature: Annotated[
        Path | None, typer.Option(help="The signature (default: model.sig in the folder).")
    ] = None,
    json: Json = False,
) -> None:
    """Hold a folder, or one file, against its signature; no workspace is needed."""
    from instar.cli import show
    from instar.service import bundle

    show.result(bundle.verify(folder, key, signature), json, _verified)


def _signed(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    for name in done["signed"]:
        console.print(f"[green]✔[/green] [bold]{name}[/bold] is signed with keys/bundle.pem")


def _exported(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    folder = Path(done["folder"]).name
    console.print(f"[green]✔[/green] {folder}: {len(done['files'])} files and model.sig")
    console.print(f"  next: instar bundle verify {folder} --key .instar/keys/bundle.pub")


def _verified(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    console.print(f"[green]✔[/green] {len(done['files'])} files, all as they were signed")
    console.print(f"  {done['root']}")
