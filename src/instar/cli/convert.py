"""Files from outside made safe: ONNX made whole, and old pickles turned into safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instar.cli.options import Json


def import_graph(file: Path, out: Path, json: Json = False) -> None:
    """Make an ONNX file whole: weights in files beside it are put in; nothing runs."""
    from instar.cli import show
    from instar.service import convert

    show.result(convert.import_graph(file, out), json, _written)


def import_legacy(file: Path, out: Path, json: Json = False) -> None:
    """Turn a torch pickle into safetensors, in a process without network, files and secrets."""
    from instar.cli import show
    from instar.service import convert

    show.result(convert.import_legacy(file, out), json, _written)


def _written(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console, written

    written(done)
    console.print(f"  {done['digest']}")
    console.print(f"  read behind {', '.join(done['jail'])}")
