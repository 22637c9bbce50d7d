"""What the crashes came to, said at the end of the run; and a folder in memory."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Sum up what each test of the enumeration tried."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for report in (r for kind in ("passed", "failed") for r in terminalreporter.getreports(kind)):
        for name, value in getattr(report, "user_properties", ()):
            if name == "crashes" and report.when == "call":
                store, *counts = value
                totals[store] = [a + b for a, b in zip(totals[store], counts, strict=True)]
    for store, (single, pairs, violations) in sorted(totals.items()):
        terminalreporter.write_line(
            f"crashes with the journal in {store}: {single} points, {pairs} pairs, "
            f"{violations} violations"
        )


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where there is one: thousands of folders are made and removed in it."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as folder:
        yield Path(folder)
