"""What can be wrong with a file of rows."""

from __future__ import annotations

from instar.core.errors import InputError


class EmptyFile(InputError):
    """Refuse a file without a single row."""

    code = "input.empty_file"

    def __init__(self, name: str) -> None:
        super().__init__("at least one row", f"none in {name}", "check the export")


class BrokenFile(InputError):
    """Refuse a file that ends early or is not what its ending says."""

    code = "input.broken_file"

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(f"a whole {kind} file", f"{name}, cut short or damaged", "write it again")
