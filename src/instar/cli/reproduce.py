"""`instar reproduce`: run an update again, and see whether the same comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar.cli.options import HERE, By, Json, Root, workspace


def command(update: str, root: Root = HERE, by: By = None, json: Json = False) -> None:
    """Run an update again, up to its bundle, and hold what comes out against the record."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root, by).reproduce(update, tell=tell)
    show.result(done, json, _drawn)
    raise SystemExit(0 if done["equal"] else 1)


def _drawn(done: Mapping[str, Any]) -> None:
    from rich.text import Text

    from instar.cli.show import console, mark

    for stage in done["stages"]:
        said = "equal" if stage["equal"] else "different"
        verdict = "pass" if stage["equal"] else "fail"
        console.print(Text.assemble(mark(verdict), f" {stage['kind']:<10} {said}"))
        for line in stage["differences"]:
            console.print(Text(f"    {line}"), soft_wrap=True)
    for line in done["environment"]:
        console.print(Text(f"  another environment: {line}", style="dim"), soft_wrap=True)
    whole = "came out as it is recorded" if done["equal"] else "came out different"
    console.print(Text(f"{done['update']} {whole}, {done['seconds']:.0f} s", style="bold"))
