"""What can make a table structurally unusable, one class per mistake."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from instar.core.errors import InputError


class NoRows(InputError):
    """Refuse a table without rows."""

    code = "input.no_rows"

    def __init__(self) -> None:
        super().__init__("at least one row", "none", "check the export")


class MissingColumn(InputError):
    """Refuse a table that lacks a column; name the strange column it may have become."""

    code = "input.missing_column"

    def __init__(self, column: str, strange: Iterable[str], *, read: bool = True) -> None:
        """Make the message; `read` is False for target, time and id, which no setting spares."""
        strange = sorted(strange)
        near = next(iter(_near(column, strange)), None)
        got = f"none, but a strange {near!r}" if near else "none"
        todo = "deliver it, or leave it out of features" if read else "deliver it"
        todo = f"rename {near!r} to {column!r}" if near else todo
        super().__init__(f"a column {column!r}", got, todo)


class ExtraColumn(InputError):
    """Refuse a column that the champion's schema does not know."""

    code = "input.extra_column"

    def __init__(self, column: str, known: Iterable[str]) -> None:
        near = next(iter(_near(column, known)), None)
        hint = f" (near to {near!r})" if near else ""
        super().__init__(
            "the columns of the champion's schema",
            f"{column!r} besides{hint}",
            "drop it, or name it under data.ignore or data.features",
        )


class WrongType(InputError):
    """Refuse a column whose values are not of the schema's type."""

    code = "input.wrong_type"

    def __init__(self, column: str, wanted: str, got: str) -> None:
        super().__init__(f"{wanted} in column {column!r}", got, "convert it at the source")


class NotFinite(InputError):
    """Refuse NaN and infinities: a missing value is a null, anything else is a broken number."""

    code = "input.not_finite"

    def __init__(self, column: str, what: str, count: int, row: int) -> None:
        got = f"{count} {what} in column {column!r}, first in row {row}"
        super().__init__("finite numbers", got, "write missing values as null")


class UnknownCategory(InputError):
    """Refuse a category that the champion never saw."""

    code = "input.unknown_category"

    def __init__(self, column: str, value: str, count: int, row: int, known: Iterable[str]) -> None:
        known = list(known)
        near = next(iter(_near(value, known)), None)
        hint = f" (near to {near!r})" if near else ""
        super().__init__(
            f"a value out of {_listed(known)} in column {column!r}",
            f"{value!r}{hint} in {count} rows, first in row {row}",
            "correct it, or set admit.unknown_category to other or quarantine",
        )


class UnknownLabel(InputError):
    """Refuse a label that is not a class of the task."""

    code = "input.unknown_label"

    todo = "correct it, or set admit.new_classes to admit"

    def __init__(self, column: str, value: str, count: int, row: int, known: Iterable[str]) -> None:
        known = list(known)
        super().__init__(
            f"a label out of {_listed(known)} in column {column!r}",
            f"{value!r} in {count} rows, first in row {row}",
            self.todo,
        )


class ThirdLabel(UnknownLabel):
    """Refuse a third label where the task has two classes and the network one output."""

    code = "input.third_label"
    todo = "correct it; a binary task cannot take a new class"


class NoLabels(InputError):
    """Refuse a table in which no row has a label."""

    code = "input.no_labels"

    def __init__(self, column: str) -> None:
        super().__init__(f"labels in column {column!r}", "none in any row", "join them first")


class OneClass(InputError):
    """Refuse labels that are all the same: nothing can be learnt from them."""

    code = "input.one_class"

    def __init__(self, column: str, value: str) -> None:
        got = f"only {value!r}"
        super().__init__(f"two classes or more in column {column!r}", got, "check the join")


class WrongClasses(InputError):
    """Refuse labels that do not fit the kind of task."""

    code = "input.wrong_classes"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "check task.kind and task.target")


def _listed(known: list[str]) -> str:
    return ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")


def _near(name: str, known: Iterable[str]) -> list[str]:
    lower = {each.lower(): each for each in known}
    return [lower[hit] for hit in difflib.get_close_matches(name.lower(), lower, n=1)]
