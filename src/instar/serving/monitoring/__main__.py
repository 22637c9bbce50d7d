"""Write the files: `python -m instar.serving.monitoring FOLDER --target HOST:PORT`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from instar.serving.monitoring import write

_TARGET = re.compile(r"[\w.\-\[\]:]+:\d+")


def target(text: str) -> str:
    """Read where a gateway listens."""
    if not _TARGET.fullmatch(text):
        raise argparse.ArgumentTypeError(f"wanted HOST:PORT; got {text!r}")
    return text


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(prog="python -m instar.serving.monitoring")
    parser.add_argument("folder", type=Path, help="where to write; files of these names go")
    parser.add_argument(
        "--target", type=target, action="append", help="HOST:PORT of a gateway; may be repeated"
    )
    parser.add_argument("--every", default="15s", help="time between two scrapes")
    given = parser.parse_args()
    for name in write(given.folder, given.target or ["127.0.0.1:8400"], given.every):
        print(given.folder / name)


if __name__ == "__main__":
    main()
