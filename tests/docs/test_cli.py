"""The page of the command line names the commands that there are, and no others."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from instar.cli import app

PAGE = (Path(__file__).parents[2] / "docs/cli.md").read_text("utf-8")


def commands(group: Any, name: str = "") -> dict[str, Any]:
    """List every command below a group by its full name."""
    if not hasattr(group, "commands"):
        return {name: group}
    found: dict[str, Any] = {}
    for word, command in group.commands.items():
        found |= commands(command, f"{name} {word}".strip())
    return found


COMMANDS = commands(typer.main.get_command(app))


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_page_names_exactly_the_commands() -> None:
    assert sorted(re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_page_section_has_exit_codes_and_an_example_that_parses(name: str) -> None:
    section = PAGE.split(f"### `{name}`\n")[1].split("\n#")[0]
    assert re.search(r"Exit \d", section)
    examples = re.findall(r"^    instar (.+?)(?:  # .*)?$", section, re.MULTILINE)
    assert examples
    for example in examples:
        assert example.startswith(name)
        words = shlex.split(example.removeprefix(name))
        COMMANDS[name].make_context(name, words)


@pytest.mark.parametrize("name", COMMANDS)
def test_page_names_only_options_that_exist(name: str) -> None:
    section = PAGE.split(f"### `{name}`\n")[1].split("\n#")[0]
    assert set(re.findall(r"`(--[\w-]+)", section)) <= options(COMMANDS[name])
