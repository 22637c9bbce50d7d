"""Mistakes that a command can make against the state of the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from instar.core.errors import InputError


class UnknownUpdate(InputError):
    """Refuse the id of an update that the ledger does not hold."""

    code = "input.unknown_update"

    def __init__(self, update: str, known: Sequence[str]) -> None:
        super().__init__(
            "the id of an update",
            repr(update),
            f"known: {', '.join(known[-5:])}" if known else "there is none yet: instar update DATA",
        )


class NotNow(InputError):
    """Refuse a step that the update's state does not allow."""

    code = "update.not_now"

    def __init__(self, wanted: str, update: str, state: str, todo: str) -> None:
        super().__init__(wanted, f"{update}, which is {state}", todo)


class NoWayBack(InputError):
    """Say that there is no earlier champion to go back to."""

    code = "update.no_way_back"

    def __init__(self, champion: str) -> None:
        super().__init__("a champion with a predecessor", f"{champion}, the first", "nothing to do")


class OwnUpdate(InputError):
    """Refuse the approval of the one who asked for the update."""

    code = "update.own"

    def __init__(self, update: str, by: str) -> None:
        super().__init__(
            "the word of somebody else",
            f"{by}, who asked for {update}",
            f"let another person say it: instar approve {update} --by NAME",
        )
