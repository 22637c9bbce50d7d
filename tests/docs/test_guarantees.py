"""The pages that say which test shows what name tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    page for name in ("faults", "guarantees") if (page := ROOT / "docs" / f"{name}.md").exists()
]
NAMED = re.compile(r"`((?:tests|src)/[\w/]+\.py)((?:::\w+)*)`")


def functions(file: Path) -> set[str]:
    """List what a file's tests are called, those of a class as `Class::test`."""
    found: set[str] = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (n.name for n in node.body if isinstance(n, ast.FunctionDef))
            found |= {f"{node.name}::{name}" for name in inner}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_only_tests_that_exist(page: Path) -> None:
    named = NAMED.findall(page.read_text("utf-8"))
    assert named
    missing = [
        file + test
        for file, test in named
        if not (ROOT / file).is_file()
        or (test and test.removeprefix("::") not in functions(ROOT / file))
    ]
    assert missing == []


def test_every_fault_has_its_row() -> None:
    page = (ROOT / "docs/faults.md").read_text("utf-8")
    rows = re.findall(r"^\| (F\d+) \|(.*)\|$", page, re.MULTILINE)
    assert [name for name, _ in rows] == [f"F{number}" for number in range(1, 47)]
    assert all("`tests/" in row or "not covered yet" in row for _, row in rows)
