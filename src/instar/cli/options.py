"""The options that many commands share, each with one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
By = Annotated[str | None, typer.Option("--by", help="Who you are (default: $INSTAR_USER).")]
Root = Annotated[Path, typer.Option("--root", help="The folder with instar.yaml.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A setting in place of the file's: key=value.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]
HERE = Path()


def workspace(root: Path, by: str | None = None, settings: list[str] | None = None) -> Any:
    """Open the folder's workspace."""
    from instar.service import Workspace

    return Workspace(root, by=by, settings=settings or ())
