"""Parts of Instar that are installed on demand."""

from __future__ import annotations

from instar.core.errors import InputError


class MissingExtra(InputError):
    """Ask for a part of Instar that was not installed."""

    code = "input.missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"what {what} needs", "an installation without it", f"pip install 'instar[{extra}]'"
        )
