"""`instar store`: see that every artifact is there and right, and remove what nobody needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, By, Json, Root, workspace

store = typer.Typer(help="Keep the artifacts clean.", no_args_is_help=True, rich_markup_mode=None)


@store.command()
def scrub(root: Root = HERE, by: By = None, json: Json = False) -> None:
    """Hash every artifact, mend the damaged from another copy, and look for what is missing."""
    from instar.cli import BROKEN, PASS, show

    with show.progress(json) as tell:
        done = workspace(root, by).scrub(tell=tell)
    show.result(done, json, _scrubbed)
    raise SystemExit(PASS if done["sound"] else BROKEN)


@store.command()
def collect(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be removed.")
    ] = False,
    root: Root = HERE,
    by: By = None,
    json: Json = False,
) -> None:
    """Remove the artifacts that no champion, hold, open update or recent version needs."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root, by).collect(dry=dry_run, tell=tell)
    show.result(done, json, _collected)


def _scrubbed(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    console.print(f"{_many(done['artifacts'], 'artifact')} hashed, {_size(done['size'])}")
    _told("?", "yellow", done["repaired"], "was damaged or missing, and is right again")
    _told("✘", "red", done["quarantined"], "is damaged, has no other copy, and was moved aside")
    _told("✘", "red", done["missing"], "is needed, and is nowhere")
    if done["leftovers"]:
        told = _many(done["leftovers"], "write")
        console.print(f"{told} begun and never ended: instar store collect removes that")
    if done["sound"]:
        console.print("[green]✔[/green] everything that is needed is there and right")
    else:
        console.print("  restore it from a backup: put the file back, or run what made it again")


def _collected(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    removed = len(done["removed"])
    verb = "would be removed" if done["dry"] else "removed"
    console.print(
        f"[green]✔[/green] {removed} of {_many(done['artifacts'], 'artifact')} {verb}, "
        f"{_size(done['freed'])}"
    )
    if done["leftovers"]:
        console.print(f"  with {_many(done['leftovers'], 'write')} begun and never ended")


def _told(mark: str, colour: str, digests: Sequence[str], what: str) -> None:
    from instar.cli.show import console
    from instar.core.digest import short

    for digest in digests:
        console.print(f"[{colour}]{mark}[/{colour}] {short(digest)} {what}")


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _size(count: float) -> str:
    """Write bytes for people.

    Example:
        >>> _size(0), _size(2_500_000)
        ('0 B', '2.5 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
