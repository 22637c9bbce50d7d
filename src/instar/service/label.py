"""What is asked of `instar label`, looked at before a process starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from instar.core.errors import InputError
from instar.service.convert import TakenFile

AUDIT = 100
"""Pseudo-labels that people look at, unless said otherwise.

With 5 wrong ones among 100, the share of wrong ones is between 1.6 % and 11.3 % (95 %).
"""


class NoSheet(InputError):
    """Refuse to write a sheet under a name that no reader of ours would know again."""

    code = "input.no_sheet"

    def __init__(self, name: str) -> None:
        super().__init__("a file ending in .csv", repr(name), "choose another: --output FILE.csv")


class BadThreshold(InputError):
    """Refuse a threshold that every answer passes, or none."""

    code = "input.threshold"

    def __init__(self, got: float) -> None:
        super().__init__("a threshold above 0.5 and below 1", f"{got:g}", "say, --pseudo 0.95")


class BadCount(InputError):
    """Refuse a number of rows that is none."""

    code = "input.count"

    def __init__(self, option: str, least: int, got: int) -> None:
        super().__init__(f"{least} or more for {option}", f"{got}", f"say, {option} 100")


class OneWay(InputError):
    """Refuse options that do not go together."""

    code = "input.one_way"

    def __init__(self, got: str) -> None:
        super().__init__(
            "either --rows N, with --by, or --pseudo THRESHOLD, with --audit",
            got,
            "see: instar label --help",
        )


def order(
    output: str | Path,
    *,
    rows: int | None,
    by: str | None,
    pseudo: float | None,
    audit: int | None,
) -> dict[str, Any]:
    """Put what is asked into the words of the worker's task.

    Raises:
        OneWay, BadThreshold, BadCount, NoSheet, TakenFile: see there.
    """
    if (rows is None) == (pseudo is None):
        raise OneWay("both" if rows is not None else "neither")
    if pseudo is None and audit is not None:
        raise OneWay("--audit without --pseudo")
    if rows is None and by is not None:
        raise OneWay("--by without --rows")
    if pseudo is not None and not 0.5 < pseudo < 1:
        raise BadThreshold(pseudo)
    if rows is not None and rows < 1:
        raise BadCount("--rows", 1, rows)
    looked = AUDIT if audit is None else audit
    if looked < 0:
        raise BadCount("--audit", 0, looked)
    out = Path(output).absolute()
    beside = out.with_suffix(".audit.csv") if pseudo is not None and looked else None
    for file in (out, beside):
        if file is not None:
            _free(file)
    return {
        "output": str(out),
        "rows": rows,
        "by": (by or "entropy") if rows is not None else None,
        "pseudo": pseudo,
        "audit_output": str(beside) if beside else None,
        "audit_rows": looked,
    }


def _free(file: Path) -> None:
    """See that a file may be written: half a day's labels must not be lost to a second run."""
    if file.suffix.lower() != ".csv":
        raise NoSheet(file.name)
    if os.path.lexists(file):
        raise TakenFile(file.name, "which is there already")
    if not file.parent.is_dir():
        raise TakenFile(file.name, "in a folder that does not exist")
