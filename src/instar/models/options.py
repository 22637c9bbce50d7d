"""Options of the network families: what is refused before a layer is made of it."""

from __future__ import annotations

from instar.core.errors import InputError


class ImpossibleOption(InputError):
    """Refuse an option's value that no network can be built with."""

    code = "input.impossible_option"

    def __init__(self, option: str, wanted: str, got: object) -> None:
        super().__init__(f"{option}: {wanted}", repr(got), "correct `network` in instar.yaml")


def share(option: str, value: float) -> float:
    """Take a fraction in [0, 1).

    Raises:
        ImpossibleOption: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ImpossibleOption(option, "a fraction in [0, 1)", value)
    return value


def count(option: str, value: int) -> int:
    """Take a whole number from 1.

    Raises:
        ImpossibleOption: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ImpossibleOption(option, "a whole number, at least 1", value)
    return value
