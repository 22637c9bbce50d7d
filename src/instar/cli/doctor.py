"""`instar doctor`: what Instar stands on here, and what to do where it is weak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar.cli.options import HERE, Json, Root, Set, workspace

SIGNS = {"pass": "pass", "warn": "inconclusive", "fail": "fail"}


def command(root: Root = HERE, json: Json = False, settings: Set = None) -> None:
    """Examine machine, libraries, stores, keys and clock; nothing is changed."""
    from instar.cli import show
    from instar.service.doctor import exit_code

    lines = workspace(root, None, settings).doctor()
    show.result({"lines": lines, "exit_code": exit_code(lines)}, json, _drawn)
    raise SystemExit(exit_code(lines))


def _drawn(done: Mapping[str, Any]) -> None:
    from rich.text import Text

    from instar.cli.show import console, mark

    for line in done["lines"]:
        head = Text.assemble(mark(SIGNS[line["verdict"]]), f" {line['what']:<12} {line['found']}")
        console.print(head, soft_wrap=True)
        if line["todo"]:
            console.print(Text(f"    {line['todo']}", style="dim"), soft_wrap=True)
