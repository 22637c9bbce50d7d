"""`instar due`: whether an update is due now, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar.cli.options import HERE, Json, Root, Set, workspace


def command(root: Root = HERE, json: Json = False, settings: Set = None) -> None:
    """Say whether an update is due, why, when if not, and how many rows it should bring."""
    from instar.cli import show

    done = workspace(root, None, settings).due()
    show.result(done, json, _due)
    raise SystemExit(done["exit_code"])


def _due(done: Mapping[str, Any]) -> None:
    from rich.text import Text

    from instar.cli.show import console, findings
    from instar.service.dates import written

    said = "is due" if done["due"] else "is not due"
    console.print(Text.assemble((done["model"], "bold"), f"  an update {said}"))
    findings(done["findings"])
    console.print(Text(f"  {done['reason']}"), soft_wrap=True)
    if not done["due"] and done["at"] is not None:
        console.print(f"  due on {written(done['at'])} UTC, as far as is known today")
    console.print(f"  it should bring about {done['rows']:,} labelled rows")
    console.print(Text(f"  next: {done['next']}", style="bold"))
