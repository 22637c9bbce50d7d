"""The list of benchmarks names every one that can be run."""

from __future__ import annotations

import re
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_list_names_every_benchmark() -> None:
    page = (BENCHMARKS / "README.md").read_text("utf-8")
    named = re.findall(r"^\| `benchmarks\.([\w.]+)` \|", page, re.MULTILINE)
    runnable = [
        f"{file.parent.name}.{file.stem}".removesuffix(".__main__")
        for file in BENCHMARKS.glob("*/*.py")
        if re.search(r'^if __name__ == "__main__"', file.read_text("utf-8"), re.MULTILINE)
    ]
    assert sorted(named) == sorted(runnable)
