"""What dashboard and control plane ask of the service, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Service(Protocol):
    """Read what people see, and do what they say. Every method may be called from any thread."""

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

    def due(self) -> Mapping[str, Any]:
        """Say whether an update is due: `due`, `reason`, `at`, `rows`, `findings`.

        Raises:
            InputError: there is no champion yet.
        """
        ...

    def live(self, update: str | None = None, /) -> Mapping[str, Any]:
        """Tell where a release stands at this moment; without a name the one under way.

        Raises:
            InputError: there is none.
        """
        ...

    def acting(self, by: str, /) -> Acting:
        """Return a service that acts as somebody.

        Raises:
            InputError: it is no name.
        """
        ...


class Acting(Protocol):
    """Do what somebody says; what comes back is an outcome, or plain values."""

    def release(self, update: str, /) -> Any: ...
    def pause(self, update: str, /, *, reason: str) -> Any: ...
    def resume(self, update: str, /, *, reason: str = "") -> Any: ...
    def promote(
        self, update: str, /, *, reason: str, step: bool, lets_pass: Sequence[str]
    ) -> Any: ...
    def abort(self, update: str, /, *, reason: str) -> Any: ...
    def rollback(self, *, reason: str) -> Any: ...
