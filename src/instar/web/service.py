"""What the dashboard asks of the service, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Service(Protocol):
    """Read what people see. Every method may be called from any thread."""

    def status(self) -> Mapping[str, Any]:
        """Return the model line: `model`, `champion`, `since` (seconds since the epoch), `metrics`.

        `champion` and `since` are None before a model is adopted.
        """
        ...

    def updates(self) -> Sequence[Mapping[str, Any]]:
        """Return one mapping an update, newest first, of plain JSON values.

        Keys: `update`, `state` (a `State` value), `verdict` (a `Verdict` value or None),
        `strategy` (or None), `by`, `at` (seconds since the epoch), `reason`, `champion`,
        `candidate` (or None). Further keys are passed on by the JSON address.
        """
        ...

    def report(self, update: str, /) -> str:
        """Return an update's page.

        Raises:
            InputError: there is no such update.
        """
        ...
