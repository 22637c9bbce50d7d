"""What messages tell people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from instar.cli import app

SOURCE = Path(__file__).parents[2] / "src" / "instar"
COMMANDS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
HINT = re.compile(r"""["'`:] ?instar ([a-z][a-z-]+)""")


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.name)
def test_command_in_a_message_exists(path: Path) -> None:
    named = set(HINT.findall(path.read_text("utf-8")))
    assert named <= COMMANDS
