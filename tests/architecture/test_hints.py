"""What messages tell people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from instar.cli import app

SOURCE = Path(__file__).parents[2] / "src" / "instar"
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
HINT = re.compile(r"""["'`:] ?instar ([a-z][a-z-]+)""")


def test_command_in_a_message_exists() -> None:
    for path in SOURCE.rglob("*.py"):
        named = set(HINT.findall(path.read_text("utf-8")))
        assert named <= COMMANDS, path
