"""What the crashes came to, said at the end of the run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


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
